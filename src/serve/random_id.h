// Names that nobody can guess or meet twice, for answers, calls and requests.
#pragma once

#include <cstdint>
#include <string>

namespace gemma4::serve {

// `length` random letters and digits. Any thread.
std::string random_id(size_t length = 24);
uint64_t random_seed();

}  // namespace gemma4::serve
