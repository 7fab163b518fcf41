// How memory is counted, for whoever keeps many grammars: roughly, by capacities.
#pragma once

#include <cstddef>
#include <vector>

namespace gemma4::constrain {

inline constexpr size_t kPerMapEntry = 48;  // a node of a hash map, its link and what malloc adds

template <typename T>
size_t bytes_of(const std::vector<T>& items) {
  return items.capacity() * sizeof(T);
}

}  // namespace gemma4::constrain
