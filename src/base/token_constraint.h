// What an answer may continue with: the border between the engine, which samples, and whoever knows
// the form the answer must have.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace gemma4 {

// The state of one answer. Not thread-safe; called by the engine's thread only.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  // Clears the bits of ids that may not come next. `bits` arrives all set: id i is bit i % 32 of
  // word i / 32. At least one id stays allowed unless failure() says why not.
  virtual void mask(std::span<uint32_t> bits) = 0;
  // Takes the id that was sampled; it was allowed.
  virtual void accept(int32_t id) = 0;
  // The answer is complete: nothing but a stop token may follow.
  virtual bool finished() const = 0;
  // Why the answer cannot go on in its form; asked after mask() and accept(). Nothing is sampled
  // any more then, and what was generated so far does not have the form.
  virtual std::optional<Error> failure() const { return std::nullopt; }
};

}  // namespace gemma4
