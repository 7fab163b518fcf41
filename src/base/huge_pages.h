// Memory in 2 MiB pages, for large tables that are read at random or all through: with small pages
// most look-ups would also miss the processor's table of page translations, and a stream stops at
// every page.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

namespace gemma4 {

// At least `bytes` bytes for std::free, aligned to a cache line, in large pages where the block has
// room for one and the system grants them. Null when there is not enough.
inline void* allocate_pages(size_t bytes) {
  constexpr size_t kLine = 64;
  constexpr size_t kPage = size_t{1} << 21;
  const size_t unit = bytes >= kPage ? kPage : kLine;
  if (bytes > PTRDIFF_MAX) return nullptr;
  void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (memory != nullptr && unit == kPage) ::madvise(memory, bytes, MADV_HUGEPAGE);  // a wish
  return memory;
}

template <typename T>
struct HugePageAllocator {
  using value_type = T;

  HugePageAllocator() = default;
  template <typename U>
  HugePageAllocator(const HugePageAllocator<U>&) {}  // NOLINT: implicit, as allocators require

  T* allocate(size_t count) {
    if (count > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();
    void* memory = allocate_pages(count * sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) { std::free(memory); }
  bool operator==(const HugePageAllocator&) const { return true; }
};

template <typename T>
using HugePageVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace gemma4
