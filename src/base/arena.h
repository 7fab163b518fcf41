// Bump memory of one step. The same sequence of allocations gives the same addresses, which is what
// captured GPU graphs need; there are no named scratch buffers to lend out.
//
//   Arena measure = Arena::measuring();      // hands out addresses that must not be touched
//   run_forward(measure);                    // the dry run
//   Arena arena(measure.high_water_bytes()); // now the capacity is exact
#pragma once

#include <cstddef>
#include <memory>

namespace gemma4 {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;  // a cache line, and the widest CPU vector

  explicit Arena(size_t capacity_bytes);
  static Arena measuring();
  // Over memory of the caller, 64-byte aligned, of this program or of a device; never touched here.
  Arena(void* memory, size_t capacity_bytes);

  // 64-byte aligned, uninitialised. Asking for more than the capacity is a bug and aborts.
  void* allocate(size_t bytes);

  bool is_measuring() const { return measuring_; }
  size_t capacity_bytes() const { return capacity_; }
  size_t high_water_bytes() const { return high_water_; }
  void reset() { used_ = 0; }

  // Releases, on destruction, everything allocated since construction.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), mark_(arena.used_) {}
    ~Scope() { arena_.used_ = mark_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    size_t mark_;
  };

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  Arena() = default;
  std::unique_ptr<std::byte[], Free> owned_;
  std::byte* memory_ = nullptr;
  size_t capacity_ = 0;
  size_t used_ = 0;
  size_t high_water_ = 0;
  bool measuring_ = false;
};

}  // namespace gemma4
