#include "base/arena.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>

#include "base/check.h"

namespace gemma4 {
namespace {
constexpr size_t round_up(size_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}
}  // namespace

void Arena::Free::operator()(std::byte* p) const {
  ::operator delete[](p, std::align_val_t{Arena::kAlignment});
}

Arena::Arena(size_t capacity_bytes)
    : owned_(new (std::align_val_t{kAlignment}) std::byte[round_up(capacity_bytes)]),
      memory_(owned_.get()),
      capacity_(round_up(capacity_bytes)) {}

Arena::Arena(void* memory, size_t capacity_bytes)
    : memory_(static_cast<std::byte*>(memory)), capacity_(capacity_bytes) {}

Arena Arena::measuring() {
  Arena arena;
  arena.measuring_ = true;
  arena.capacity_ = std::numeric_limits<size_t>::max() / 2;
  return arena;
}

void* Arena::allocate(size_t bytes) {
  const size_t size = round_up(bytes);
  G4_CHECK_LE(size, capacity_ - used_);
  const size_t offset = used_;
  used_ += size;
  high_water_ = std::max(high_water_, used_);
  // A measuring arena has no memory; the address only has to be non-null.
  if (measuring_)
    return reinterpret_cast<void*>(kAlignment + offset);  // NOLINT: never dereferenced
  return memory_ + offset;
}

}  // namespace gemma4
