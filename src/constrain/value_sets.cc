#include "constrain/value_sets.h"

#include <algorithm>

#include "constrain/nfa.h"
#include "constrain/numbers.h"

namespace gemma4::constrain {
namespace {

// Texts of min to max code points: a chain of copies of any_text().
Result<Dfa> dfa_of_lengths(uint64_t min, uint64_t max) {
  struct Key {
    uint64_t count;
    int32_t state;
    auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr)
  };
  const Dfa& any = any_text();
  const bool open = max == kNoLimit;
  const uint64_t last = open ? min : max;
  if (last > kMaxDfaStates)
    return Error{ErrorCode::kResourceExhausted, "the length needs too large an automaton"};
  const auto step = [&](const Key& from, uint8_t byte) -> std::optional<Key> {
    const int32_t next = any.step(from.state, byte);
    if (next < 0) return std::nullopt;
    if (next != 0) return Key{from.count, next};
    if (from.count == last && !open) return std::nullopt;
    return Key{std::min(from.count + 1, last), 0};
  };
  const auto accepts = [&](const Key& key) { return key.state == 0 && key.count >= min; };
  return explore(Key{0, 0}, step, accepts, 8 * kMaxDfaStates);
}

Result<StringSet> combined(const StringSet& a, const StringSet& b, SetOperation operation) {
  G4_ASSIGN_OR_RETURN(const auto left, to_dfa(a));
  G4_ASSIGN_OR_RETURN(const auto right, to_dfa(b));
  G4_ASSIGN_OR_RETURN(Dfa dfa, combine(*left, *right, operation, 8 * kMaxDfaStates));
  return StringSet::of(std::move(dfa));
}

}  // namespace

Result<std::shared_ptr<const Dfa>> to_dfa(const StringSet& set) {
  if (set.dfa) return set.dfa;
  if (set.is_all()) return std::make_shared<const Dfa>(any_text());
  if (set.is_none()) return std::make_shared<const Dfa>();
  G4_ASSIGN_OR_RETURN(Dfa dfa, dfa_of_lengths(set.min_length, set.max_length));
  return std::make_shared<const Dfa>(std::move(dfa));
}

Result<StringSet> intersection(const StringSet& a, const StringSet& b) {
  if (a.is_all() || b.is_none()) return b;
  if (b.is_all() || a.is_none()) return a;
  if (!a.dfa && !b.dfa)
    return StringSet{std::max(a.min_length, b.min_length), std::min(a.max_length, b.max_length),
                     nullptr};
  return combined(a, b, SetOperation::kAnd);
}

Result<StringSet> unite(const StringSet& a, const StringSet& b) {
  if (a.is_all() || b.is_none()) return a;
  if (b.is_all() || a.is_none()) return b;
  return combined(a, b, SetOperation::kOr);
}

Result<StringSet> complement(const StringSet& set) {
  if (set.is_none()) return StringSet::all();
  if (set.is_all()) return StringSet::none();
  if (!set.dfa && set.min_length == 0) return StringSet{set.max_length + 1, kNoLimit, nullptr};
  if (!set.dfa && set.max_length == kNoLimit) return StringSet{0, set.min_length - 1, nullptr};
  return combined(StringSet::all(), set, SetOperation::kMinus);
}

Result<NumberSet> intersection(const NumberSet& a, const NumberSet& b) {
  if (a.is_all() || b.is_none()) return b;
  if (b.is_all() || a.is_none()) return a;
  G4_ASSIGN_OR_RETURN(Dfa dfa, combine(*a.dfa, *b.dfa, SetOperation::kAnd, 8 * kMaxDfaStates));
  return NumberSet::of(std::move(dfa));
}

Result<NumberSet> unite(const NumberSet& a, const NumberSet& b) {
  if (a.is_all() || b.is_none()) return a;
  if (b.is_all() || a.is_none()) return b;
  G4_ASSIGN_OR_RETURN(Dfa dfa, combine(*a.dfa, *b.dfa, SetOperation::kOr, 8 * kMaxDfaStates));
  return NumberSet::of(std::move(dfa));
}

Result<NumberSet> complement(const NumberSet& set) {
  if (set.is_none()) return NumberSet::all();
  if (set.is_all()) return NumberSet::none();
  G4_ASSIGN_OR_RETURN(Dfa dfa,
                      combine(plain_numbers(), *set.dfa, SetOperation::kMinus, 8 * kMaxDfaStates));
  return NumberSet::of(std::move(dfa));
}

}  // namespace gemma4::constrain
