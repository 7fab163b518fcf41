// A vector for large tables that are read at random: it asks the system for 2 MiB pages, without
// which most look-ups would also miss the processor's table of page translations.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

namespace gemma4::text {

template <typename T>
struct HugePageAllocator {
  using value_type = T;
  static constexpr size_t kPageBytes = size_t{1} << 21;

  HugePageAllocator() = default;
  template <typename U>
  HugePageAllocator(const HugePageAllocator<U>&) {}  // NOLINT: implicit, as allocators require

  T* allocate(size_t count) {
    if (count > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();
    size_t bytes = count * sizeof(T);
    const bool huge = bytes >= kPageBytes;
    if (huge) bytes = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    void* memory = huge ? std::aligned_alloc(kPageBytes, bytes) : std::malloc(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    if (huge) ::madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: without it all works, slower
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) { std::free(memory); }
  bool operator==(const HugePageAllocator&) const { return true; }
};

template <typename T>
using HugePageVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace gemma4::text
