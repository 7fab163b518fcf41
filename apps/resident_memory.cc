#include "apps/resident_memory.h"

#include <fstream>
#include <string>

namespace gemma4::apps {

ResidentMemory resident_memory() {
  constexpr uint64_t kUnit = 1024;  // the file says kB and means KiB
  ResidentMemory memory;
  std::ifstream status("/proc/self/status");
  uint64_t value = 0;
  for (std::string key; status >> key;) {
    if (key == "RssAnon:" && status >> value) memory.own = value * kUnit;
    if (key == "RssFile:" && status >> value) memory.mapped = value * kUnit;
  }
  return memory;
}

}  // namespace gemma4::apps
