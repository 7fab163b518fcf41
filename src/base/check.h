// CHECK: for our own bugs only (broken contracts, impossible states). Bad input travels as Result.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>

namespace gemma4 {

// Prints the failed condition with its location and aborts. Never returns.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& details);

namespace internal {

template <typename A, typename B>
std::string describe_pair(const A& a, const B& b) {
  std::ostringstream out;
  out << "left is " << a << ", right is " << b;
  return out.str();
}

}  // namespace internal
}  // namespace gemma4

#define G4_CHECK(condition)                                       \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::gemma4::check_failed(__FILE__, __LINE__, #condition, ""); \
  } while (0)

#define G4_CHECK_OP(a, op, b)                                                       \
  do {                                                                              \
    const auto& g4_left = (a);                                                      \
    const auto& g4_right = (b);                                                     \
    if (!(g4_left op g4_right)) [[unlikely]]                                        \
      ::gemma4::check_failed(__FILE__, __LINE__, #a " " #op " " #b,                 \
                             ::gemma4::internal::describe_pair(g4_left, g4_right)); \
  } while (0)

#define G4_CHECK_EQ(a, b) G4_CHECK_OP(a, ==, b)
#define G4_CHECK_LE(a, b) G4_CHECK_OP(a, <=, b)
#define G4_CHECK_LT(a, b) G4_CHECK_OP(a, <, b)
