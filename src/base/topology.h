// Which processors and memory nodes the machine has, as the kernel's /sys tells it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gemma4 {

// Numbers of a list such as "0-3,8": rising, each once. What cannot be read ends the list.
std::vector<int> parse_number_list(std::string_view text);

struct CpuOrder {
  std::vector<int> cpus;  // one of each physical core first, then their other hardware threads
  int cores = 0;          // physical ones among them
};
// `allowed` in the order in which threads should take them. A CPU of which `root` (/sys) does not
// say what core it is of counts as a core.
CpuOrder order_cpus(const std::vector<int>& allowed, const std::string& root = "/sys");

// Lets the pages of `memory`, which nobody has touched yet, come from all memory nodes in turn, so
// that threads on every node read it at the speed of all of them together. Nothing on machines with
// one node, or where the kernel refuses.
void interleave_over_nodes(void* memory, size_t bytes);

}  // namespace gemma4
