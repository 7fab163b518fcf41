// Sets of numbers as regular languages of their texts.
//
// Where a schema says anything about a number's value, the number is written without exponent and
// zero without sign: with exponents, comparing is beyond a finite automaton.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "constrain/dfa.h"
#include "json/json.h"

namespace gemma4::constrain {

// Digits before and behind the point, "0" at least before it, no zeros at the outer ends.
struct Decimal {
  bool negative = false;
  std::string whole = "0";
  std::string fraction;
};

// Error kResourceExhausted: more than 1,000 digits when written out.
Result<Decimal> to_decimal(const json::Number& number);

enum class Comparison { kAtLeast, kAbove, kAtMost, kBelow };

// All numbers written without exponent, but not -0; and those whose value is an integer.
const Dfa& plain_numbers();
const Dfa& integers();
// Those of plain_numbers() that compare so with `bound`. Errors of this and the next two:
// kResourceExhausted, for more work than `work`, from which what was done is taken.
Result<Dfa> numbers_compared(Comparison comparison, const Decimal& bound, size_t& work);
// Those that equal one of `values`. Also refused: too many of them.
Result<Dfa> numbers_equal_to(const std::vector<Decimal>& values, size_t& work);
// Those that are multiples of `divisor`, which must be above zero. Also refused: digits that make
// too large a number.
Result<Dfa> multiples_of(const Decimal& divisor, size_t& work);

// The set as a generator should write it: integers without a point, which many readers of
// integers refuse.
Dfa for_writing(const Dfa& numbers);

}  // namespace gemma4::constrain
