// Result<T>: a value, or an Error that tells its reader what is wrong and what to do.
//
//   Result<Config> parse_config(std::string_view json);
//   G4_ASSIGN_OR_RETURN(Config config, parse_config(text));
//
// For bad input and the environment. Our own bugs use G4_CHECK (base/check.h).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace gemma4 {

// What kind of failure; the HTTP status and the exit code are derived from it.
enum class ErrorCode {
  kInvalidArgument,    // the caller asked for something impossible
  kNotFound,           // a file, tensor or key does not exist
  kInvalidData,        // a file or message is damaged, truncated or lies
  kUnsupported,        // well-formed, but not something this program does
  kResourceExhausted,  // memory, disk, context or queue is full
  kIo,                 // the operating system refused
  kCancelled,          // the caller withdrew the request
  kUnavailable,        // a device that is not there or has failed
};

struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;  // one line: the thing, what was expected, what was found, what to do

  // The same error with `prefix: ` in front; used to add the file name on the way up.
  Error with_context(const std::string& prefix) const { return {code, prefix + ": " + message}; }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    require();
    return std::get<0>(state_);
  }
  const T& value() const& {
    require();
    return std::get<0>(state_);
  }
  // By value: a reference into a temporary would dangle in `for (auto& x : make().value())`.
  T value() && {
    require();
    return std::get<0>(std::move(state_));
  }
  const Error& error() const {
    G4_CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  void require() const {
    if (!ok())
      check_failed(__FILE__, __LINE__, "Result holds a value", std::get<1>(state_).message);
  }
  std::variant<T, Error> state_;
};

// Success without a value.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    G4_CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace gemma4

#define G4_CONCAT_INNER(a, b) a##b
#define G4_CONCAT(a, b) G4_CONCAT_INNER(a, b)

#define G4_RETURN_IF_ERROR(expression)                               \
  do {                                                               \
    if (auto g4_status = (expression); !g4_status.ok()) [[unlikely]] \
      return g4_status.error();                                      \
  } while (0)

#define G4_ASSIGN_OR_RETURN(declaration, expression) \
  G4_ASSIGN_OR_RETURN_IMPL(G4_CONCAT(g4_result_, __LINE__), declaration, expression)
#define G4_ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                     \
  if (!result.ok()) [[unlikely]]                                  \
    return result.error();                                        \
  declaration = std::move(result).value()
