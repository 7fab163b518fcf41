// Sets of strings and of numbers that schemas describe, closed under and, or, not.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "base/result.h"
#include "constrain/dfa.h"

namespace gemma4::constrain {

inline constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// Strings, as the UTF-8 of what they say: those of an automaton whose lengths in code points are
// between two bounds. The bounds are kept as numbers: automata would need a state for each length.
struct StringSet {
  // Where there is an automaton too, some of its texts have such a length, and each of its states
  // leads to an end with any number of code points from the least one on if min_length is not 0.
  uint64_t min_length = 0;
  uint64_t max_length = kNoLimit;
  std::shared_ptr<const Dfa> dfa;  // null: all texts

  static StringSet all() { return {}; }
  static StringSet none() { return of(Dfa()); }
  static StringSet of(Dfa dfa) {
    return {0, kNoLimit, std::make_shared<const Dfa>(std::move(dfa))};
  }
  bool any_length() const { return min_length == 0 && max_length == kNoLimit; }
  bool is_all() const { return !dfa && any_length(); }
  bool is_none() const { return dfa ? dfa->empty() : min_length > max_length; }
};

// Errors: kResourceExhausted, when an automaton grows too large or needs more work than `work`,
// from which what was done is taken.
Result<StringSet> intersection(const StringSet& a, const StringSet& b, size_t& work);
Result<StringSet> unite(const StringSet& a, const StringSet& b, size_t& work);
Result<StringSet> complement(const StringSet& set, size_t& work);
// As one automaton, with a state for each length that matters.
Result<std::shared_ptr<const Dfa>> to_dfa(const StringSet& set, size_t& work);

// Numbers. All of them, in any JSON notation, or those whose texts the automaton accepts.
struct NumberSet {
  std::shared_ptr<const Dfa> dfa;  // null: all

  static NumberSet all() { return {}; }
  static NumberSet none() { return of(Dfa()); }
  static NumberSet of(Dfa dfa) { return {std::make_shared<const Dfa>(std::move(dfa))}; }
  bool is_all() const { return !dfa; }
  bool is_none() const { return dfa && dfa->empty(); }
};

Result<NumberSet> intersection(const NumberSet& a, const NumberSet& b, size_t& work);
Result<NumberSet> unite(const NumberSet& a, const NumberSet& b, size_t& work);
Result<NumberSet> complement(const NumberSet& set, size_t& work);

}  // namespace gemma4::constrain
