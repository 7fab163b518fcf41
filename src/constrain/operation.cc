// The operations on edges of grammars.
#include <algorithm>
#include <bit>

#include "constrain/grammar.h"

namespace gemma4::constrain {
namespace {

// A view of registers in which missing words are zeros.
class Words {
 public:
  explicit Words(std::vector<uint32_t>& words) : words_(words) {}
  uint32_t get(size_t i) const { return i < words_.size() ? words_[i] : 0; }
  void set(size_t i, uint32_t value) {
    if (i >= words_.size()) words_.resize(i + 1);
    words_[i] = value;
  }
  bool bit(uint32_t i) const { return (get(i / 32) >> (i % 32) & 1) != 0; }
  uint32_t count_clear(const std::vector<uint32_t>& mask) const {
    uint32_t count = 0;
    for (size_t i = 0; i < mask.size(); ++i)
      count += static_cast<uint32_t>(std::popcount(mask[i] & ~get(i)));
    return count;
  }

 private:
  std::vector<uint32_t>& words_;
};

}  // namespace

bool apply_operation(const Grammar& grammar, const Operation& op, std::vector<uint32_t>& registers,
                     Counting counting) {
  Words words(registers);
  const bool counts = counting == Counting::kOn;
  using Kind = Operation::Kind;
  switch (op.kind) {
    case Kind::kCountBelow:
      if (words.get(op.word) >= op.limit) return false;
      if (counts) words.set(op.word, words.get(op.word) + 1);
      return true;
    case Kind::kCountUpTo:
      if (counts) words.set(op.word, std::min(words.get(op.word) + 1, op.limit));
      return true;
    case Kind::kBelow:
      return words.get(op.word) < op.limit;
    case Kind::kAtLeast:
      return words.get(op.word) >= op.limit;
    case Kind::kRoom:
      return words.get(op.word) + words.count_clear(grammar.masks[op.mask]) < op.limit;
    case Kind::kHasAll:
      return words.count_clear(grammar.masks[op.mask]) == 0;
    case Kind::kAnyClear:
      return words.count_clear(grammar.masks[op.mask]) != 0;
    case Kind::kUseBit:
      if (words.bit(op.bit)) return false;
      words.set(op.bit / 32, words.get(op.bit / 32) | 1U << (op.bit % 32));
      return true;
    case Kind::kAdvance:
      if (words.get(op.word) < op.least || words.get(op.word) > op.limit) return false;
      words.set(op.word, op.limit + 1);
      return true;
  }
  return false;
}

}  // namespace gemma4::constrain
