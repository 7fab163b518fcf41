#include "base/topology.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <set>

#include "base/strings.h"

namespace gemma4 {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::vector<int> parse_number_list(std::string_view text) {
  constexpr int kMost = 1 << 20;  // of a range: a broken file must not fill memory
  std::set<int> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](int& value) {
    const auto [next, error] = std::from_chars(at, end, value);
    const bool read = error == std::errc() && value >= 0 && value < kMost;
    at = next;
    return read;
  };
  for (int first = 0; number(first);) {
    int last = first;
    if (at != end && *at == '-') {
      ++at;
      if (!number(last)) break;
    }
    for (int i = first; i <= last; ++i) numbers.insert(i);
    if (at == end || *at != ',') break;
    ++at;
  }
  return {numbers.begin(), numbers.end()};
}

CpuOrder order_cpus(const std::vector<int>& allowed, const std::string& root) {
  CpuOrder order;
  std::vector<int> others;
  std::set<int> seen;  // the first hardware thread of each core
  for (const int cpu : allowed) {
    const std::vector<int> siblings = parse_number_list(first_line(
        str_cat(root, "/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list")));
    const int core = siblings.empty() ? cpu : siblings.front();
    (seen.insert(core).second ? order.cpus : others).push_back(cpu);
  }
  order.cores = static_cast<int>(order.cpus.size());
  order.cpus.insert(order.cpus.end(), others.begin(), others.end());
  return order;
}

void interleave_over_nodes(void* memory, size_t bytes) {
  constexpr long kInterleave = 3;  // MPOL_INTERLEAVE of linux/mempolicy.h
  static const std::vector<int> nodes =
      parse_number_list(first_line("/sys/devices/system/node/has_memory"));
  if (nodes.size() < 2) return;
  constexpr size_t kWordBits = 8 * sizeof(unsigned long);
  std::vector<unsigned long> mask(static_cast<size_t>(nodes.back()) / kWordBits + 1);
  for (const int node : nodes)
    mask[static_cast<size_t>(node) / kWordBits] |= 1ul << static_cast<size_t>(node) % kWordBits;
  // Whole pages only: the kernel refuses others.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
  if (begin >= end) return;
  // A wish; the kernel counts one bit less than it is told.
  syscall(SYS_mbind, begin, end - begin, kInterleave, mask.data(), mask.size() * kWordBits + 1, 0);
}

}  // namespace gemma4
