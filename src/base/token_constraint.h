// What a sampler may choose next: the engine asks, src/constrain answers.
//
//   constraint.mask(bits);           // before drawing a token
//   constraint.accept(id);           // after it was drawn
#pragma once

#include <cstdint>
#include <span>

namespace gemma4 {

// The constraint of one sequence. Not thread-safe: one thread at a time calls it.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  // Clears bit id % 32 of bits[id / 32] for every id that may not come next; `bits` has at least
  // vocab_size / 32 words, rounded up, and arrives with all bits set. At least one bit stays set.
  virtual void mask(std::span<uint32_t> bits) = 0;
  // Says that `id` has been appended. It should be one that mask() left set; after any other the
  // constraint allows stop ids only.
  virtual void accept(int32_t id) = 0;
  // True once nothing but a stop id may follow.
  virtual bool finished() const = 0;
};

}  // namespace gemma4
