#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace gemma4 {

void check_failed(const char* file, int line, const char* condition, const std::string& details) {
  std::fprintf(stderr, "%s:%d: internal error: %s does not hold%s%s\n", file, line, condition,
               details.empty() ? "" : ": ", details.c_str());
  std::abort();
}

}  // namespace gemma4
