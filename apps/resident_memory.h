// What this process holds in memory right now.
#pragma once

#include <cstdint>

namespace gemma4::apps {

struct ResidentMemory {
  uint64_t own = 0;     // bytes that only this process has: packed weights, cache, activations
  uint64_t mapped = 0;  // bytes of files, shared with the page cache, that it has touched
};

// From /proc/self/status; zeros where there is none.
ResidentMemory resident_memory();

}  // namespace gemma4::apps
