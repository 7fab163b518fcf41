// The program's own memory, threads and instruction set as a device.

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/huge_pages.h"
#include "base/strings.h"
#include "base/topology.h"
#include "kernels/packed.h"
#include "kernels/registry.h"

namespace gemma4::kernels {
namespace {

class CpuDevice : public Device {
 public:
  CpuDevice(const Table& table, const CpuOptions& options)
      : table_(table),
        pool_(options.num_threads > 0 ? options.num_threads : ThreadPool::available_cores(),
              options.pinning) {}

  std::string name() const override {
    return str_cat(num_threads(), num_threads() == 1 ? " thread, " : " threads, ", table_.name,
                   " kernels");
  }
  int num_threads() const override { return pool_.num_threads(); }
  const Table& table() const override { return table_; }
  Queue queue() override { return {.pool = &pool_}; }
  bool is_host() const override { return true; }
  // All there is: what other programs and the page cache hold can be pushed out.
  uint64_t available_bytes() const override {
    return static_cast<uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES))) *
           static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }
  void upload(void* target, const void* source, size_t bytes) override {
    std::memcpy(target, source, bytes);
  }
  void download(void* target, const void* source, size_t bytes) override {
    std::memcpy(target, source, bytes);
  }
  void copy(void* target, const void* source, size_t bytes) override {
    std::memcpy(target, source, bytes);
  }
  bool packs(const Matrix& weight) const override {
    return table_.reads_packed && can_pack(weight);
  }
  void pack(const Matrix& weight, std::byte* out) override {
    constexpr int64_t kGroupsPerPiece = 8;
    pool_.parallel_for(weight.rows / kPackedRows, kGroupsPerPiece, [&](int64_t begin, int64_t end) {
      pack_rows(weight, begin * kPackedRows, end * kPackedRows, out);
    });
  }
  Status finish() override { return {}; }

 private:
  // Large blocks come from the system as untouched pages: memory is used as it is written. Every
  // thread reads all of them, wherever it runs.
  std::byte* allocate_bytes(size_t bytes) override {
    constexpr size_t kLarge = size_t{1} << 25;
    void* memory = allocate_pages(bytes);
    if (memory != nullptr && bytes >= kLarge) interleave_over_nodes(memory, bytes);
    return static_cast<std::byte*>(memory);
  }
  void free(std::byte* memory) override { std::free(memory); }

  Table table_;
  ThreadPool pool_;
};

}  // namespace

std::shared_ptr<Device> make_cpu_device(const Table& table, const CpuOptions& options) {
  return std::make_shared<CpuDevice>(table, options);
}

}  // namespace gemma4::kernels
