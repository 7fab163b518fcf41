#include "constrain/value_sets.h"

#include <algorithm>
#include <map>

#include "constrain/nfa.h"
#include "constrain/numbers.h"
#include "constrain/text_lengths.h"

namespace gemma4::constrain {
namespace {

constexpr size_t kMostStates = 8 * kMaxDfaStates;

// The texts of an automaton that have min to max code points: each of its states as often as there
// are counts that it is met with.
class LengthLimiter {
 public:
  LengthLimiter(const Dfa& dfa, uint64_t min, uint64_t max) : dfa_(dfa), min_(min), max_(max) {}

  Result<Dfa> limit(size_t& work) {
    constexpr size_t kWorkOfEdge = 4;
    if (!dfa_.empty()) find({0, 0});
    for (size_t i = 0; i < keys_.size(); ++i) {
      std::vector<Dfa::Edge> edges;
      const Key from = keys_[i];
      for (const Dfa::Edge& edge : dfa_.states[from.state].edges) {
        // Bytes that continue a code point do not count.
        add(edges, edge, 0, 0x7F, from.count + 1);
        add(edges, edge, 0x80, 0xBF, from.count);
        add(edges, edge, 0xC0, 0xFF, from.count + 1);
      }
      if (keys_.size() > kMostStates || !spend(kWorkOfEdge * (1 + edges.size()), work))
        return too_large_automaton();
      result_.states[i].edges = std::move(edges);
    }
    return minimise(result_);
  }

 private:
  struct Key {
    int32_t state;
    uint64_t count;  // of code points begun; where there is no maximum, not more than the minimum
    auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr)
  };

  int32_t find(const Key& key) {
    const auto [it, is_new] = ids_.emplace(key, static_cast<int32_t>(keys_.size()));
    if (is_new) {
      keys_.push_back(key);
      result_.states.push_back({dfa_.states[key.state].accepts && key.count >= min_, {}});
    }
    return it->second;
  }
  void add(std::vector<Dfa::Edge>& edges, const Dfa::Edge& edge, uint8_t first, uint8_t last,
           uint64_t count) {
    first = std::max(first, edge.first);
    last = std::min(last, edge.last);
    if (first > last || count > max_) return;
    if (max_ == kNoLimit) count = std::min(count, min_);
    append_edge(edges, first, last, find({edge.next, count}));
  }

  const Dfa& dfa_;
  const uint64_t min_, max_;
  std::map<Key, int32_t> ids_;
  std::vector<Key> keys_;
  Dfa result_;
};

// The texts of `dfa` between the bounds, with as many of these left out as say nothing.
Result<StringSet> limited(std::shared_ptr<const Dfa> dfa, uint64_t min, uint64_t max,
                          size_t& work) {
  if (dfa->empty() || min > max) return StringSet::none();
  if (min == 0 && max == kNoLimit) return StringSet{min, max, std::move(dfa)};
  if (!spend(dfa->states.size(), work)) return too_large_automaton();
  const std::vector<uint32_t> least = least_code_points(*dfa);
  if (max < least[0]) return StringSet::none();
  if (most_code_points(*dfa) <= max) max = kNoLimit;
  if (min <= least[0]) min = 0;
  if (min > 0 && !takes_any_length(*dfa, least)) {
    G4_ASSIGN_OR_RETURN(Dfa longer, LengthLimiter(*dfa, min, kNoLimit).limit(work));
    return limited(std::make_shared<const Dfa>(std::move(longer)), 0, max, work);
  }
  return StringSet{min, max, std::move(dfa)};
}

}  // namespace

Result<std::shared_ptr<const Dfa>> to_dfa(const StringSet& set, size_t& work) {
  if (set.dfa && set.any_length()) return set.dfa;
  if (set.is_all()) return std::make_shared<const Dfa>(any_text());
  if (set.is_none()) return std::make_shared<const Dfa>();
  const Dfa& dfa = set.dfa ? *set.dfa : any_text();
  G4_ASSIGN_OR_RETURN(Dfa result, LengthLimiter(dfa, set.min_length, set.max_length).limit(work));
  return std::make_shared<const Dfa>(std::move(result));
}

Result<StringSet> intersection(const StringSet& a, const StringSet& b, size_t& work) {
  if (a.is_all() || b.is_none()) return b;
  if (b.is_all() || a.is_none()) return a;
  const uint64_t min = std::max(a.min_length, b.min_length);
  const uint64_t max = std::min(a.max_length, b.max_length);
  if (!a.dfa && !b.dfa) return StringSet{min, max, nullptr};
  if (!a.dfa || !b.dfa || a.dfa == b.dfa) return limited(a.dfa ? a.dfa : b.dfa, min, max, work);
  G4_ASSIGN_OR_RETURN(Dfa dfa, combine(*a.dfa, *b.dfa, SetOperation::kAnd, kMostStates, work));
  return limited(std::make_shared<const Dfa>(std::move(dfa)), min, max, work);
}

Result<StringSet> unite(const StringSet& a, const StringSet& b, size_t& work) {
  if (a.is_all() || b.is_none()) return a;
  if (b.is_all() || a.is_none()) return b;
  const uint64_t low = std::max(a.min_length, b.min_length);
  const uint64_t high = std::min(a.max_length, b.max_length);
  if (a.dfa == b.dfa && (low <= high || low - 1 == high))  // no gap between them
    return StringSet{std::min(a.min_length, b.min_length), std::max(a.max_length, b.max_length),
                     a.dfa};
  G4_ASSIGN_OR_RETURN(const auto left, to_dfa(a, work));
  G4_ASSIGN_OR_RETURN(const auto right, to_dfa(b, work));
  G4_ASSIGN_OR_RETURN(Dfa dfa, combine(*left, *right, SetOperation::kOr, kMostStates, work));
  return StringSet::of(std::move(dfa));
}

Result<StringSet> complement(const StringSet& set, size_t& work) {
  if (set.is_none()) return StringSet::all();
  if (set.is_all()) return StringSet::none();
  if (!set.dfa && set.min_length == 0) return StringSet{set.max_length + 1, kNoLimit, nullptr};
  if (!set.dfa && set.max_length == kNoLimit) return StringSet{0, set.min_length - 1, nullptr};
  G4_ASSIGN_OR_RETURN(const auto inside, to_dfa(set, work));
  G4_ASSIGN_OR_RETURN(Dfa dfa,
                      combine(any_text(), *inside, SetOperation::kMinus, kMostStates, work));
  return StringSet::of(std::move(dfa));
}

Result<NumberSet> intersection(const NumberSet& a, const NumberSet& b, size_t& work) {
  if (a.is_all() || b.is_none()) return b;
  if (b.is_all() || a.is_none()) return a;
  G4_ASSIGN_OR_RETURN(Dfa dfa, combine(*a.dfa, *b.dfa, SetOperation::kAnd, kMostStates, work));
  return NumberSet::of(std::move(dfa));
}

Result<NumberSet> unite(const NumberSet& a, const NumberSet& b, size_t& work) {
  if (a.is_all() || b.is_none()) return a;
  if (b.is_all() || a.is_none()) return b;
  G4_ASSIGN_OR_RETURN(Dfa dfa, combine(*a.dfa, *b.dfa, SetOperation::kOr, kMostStates, work));
  return NumberSet::of(std::move(dfa));
}

Result<NumberSet> complement(const NumberSet& set, size_t& work) {
  if (set.is_none()) return NumberSet::all();
  if (set.is_all()) return NumberSet::none();
  G4_ASSIGN_OR_RETURN(Dfa dfa,
                      combine(plain_numbers(), *set.dfa, SetOperation::kMinus, kMostStates, work));
  return NumberSet::of(std::move(dfa));
}

}  // namespace gemma4::constrain
