// Which states take any plain text, and how much of it (State::plain).
#include <algorithm>
#include <span>

#include "constrain/grammar_linker.h"

namespace gemma4::constrain {
namespace {

// Well-formed UTF-8, as in table 3-7 of the Unicode standard: the lead bytes, the bytes that may
// come second, and how many more follow.
struct Sequence {
  uint8_t lead_first, lead_last;
  uint8_t second_first, second_last;
  int more;  // -1: there is no second either
};
constexpr Sequence kLong[] = {{0xC2, 0xDF, 0x80, 0xBF, 0}, {0xE0, 0xE0, 0xA0, 0xBF, 1},
                              {0xE1, 0xEC, 0x80, 0xBF, 1}, {0xED, 0xED, 0x80, 0x9F, 1},
                              {0xEE, 0xEF, 0x80, 0xBF, 1}, {0xF0, 0xF0, 0x90, 0xBF, 2},
                              {0xF1, 0xF3, 0x80, 0xBF, 2}, {0xF4, 0xF4, 0x80, 0x8F, 2}};
constexpr Sequence kJsonAscii[] = {
    {0x20, 0x21, 0, 0, -1}, {0x23, 0x5B, 0, 0, -1}, {0x5D, 0x7F, 0, 0, -1}};
constexpr Sequence kTextAscii[] = {{0x00, 0x7F, 0, 0, -1}};
constexpr Sequence kLowerAscii[] = {{'a', 'z', 0, 0, -1}};

class PlainFinder {
 public:
  PlainFinder(Grammar& grammar, Plain plain)
      : grammar_(grammar), plain_(plain), kind_(static_cast<size_t>(plain)) {
    if (plain == Plain::kLower) {
      ascii_ = kLowerAscii;
    } else {
      ascii_ = plain == Plain::kJson ? std::span<const Sequence>(kJsonAscii) : kTextAscii;
      long_ = kLong;
    }
  }

  // Round n keeps the states whose every plain step leads to a state that round n - 1 kept.
  void run() {
    std::vector<StateId> kept;
    for (size_t s = 0; s < grammar_.states.size(); ++s) kept.push_back(static_cast<StateId>(s));
    for (int round = 1; round <= kManyCodePoints && !kept.empty(); ++round) {
      std::vector<StateId> next;
      for (const StateId state : kept)
        if (takes_all(state, round - 1)) next.push_back(state);
      for (const StateId state : next)
        grammar_.states[state].plain[kind_] = static_cast<uint8_t>(round);
      kept = std::move(next);
    }
  }

  // Grows the lengths until nothing changes. Long chains of jumps against the order of the states
  // would take a round each; then any length will do.
  void find_longest() {
    for (int round = 0; round < kMostRounds; ++round)
      if (!grow_longest()) return;
    for (Grammar::State& state : grammar_.states) state.longest[kind_] = kManyCodePoints;
  }

 private:
  static constexpr int kMostRounds = 4 * kManyCodePoints;

  bool grow_longest() {
    bool changed = false;
    for (size_t s = grammar_.states.size(); s-- > 0;) {
      Grammar::State& state = grammar_.states[s];
      const auto longest = static_cast<uint8_t>(longest_from(state));
      changed = changed || longest != state.longest[kind_];
      state.longest[kind_] = longest;
    }
    return changed;
  }

  bool takes_all(StateId state, int rounds) const {
    for (const Sequence& s : ascii_)
      if (!covers(state, s.lead_first, s.lead_last, rounds, -1, s)) return false;
    for (const Sequence& s : long_)
      if (!covers(state, s.lead_first, s.lead_last, rounds, 0, s)) return false;
    return true;
  }

  // True if all bytes from `first` to `last` lead on, and the rest of the sequence behind them too.
  // `depth` is the number of bytes behind the lead byte that have been gone through, -1: ASCII.
  bool covers(StateId state, int first, int last, int rounds, int depth, const Sequence& s) const {
    const Grammar::State& from = grammar_.states[state];
    for (uint32_t i = from.bytes_begin; i < from.bytes_end && first <= last; ++i) {
      const Grammar::ByteEdge& edge = grammar_.byte_edges[i];
      if (edge.last < first) continue;
      if (edge.first > first || !goes_on(edge.next, rounds, depth, s)) return false;
      first = edge.last + 1;
    }
    return first > last;
  }

  bool goes_on(StateId state, int rounds, int depth, const Sequence& s) const {
    if (depth == 0) return covers(state, s.second_first, s.second_last, rounds, 1, s);
    if (depth > 0 && depth <= s.more) return covers(state, 0x80, 0xBF, rounds, depth + 1, s);
    return grammar_.states[state].plain[kind_] >= rounds;
  }

  // The longest plain text from `state`, given those of its successors. Every byte counts as a code
  // point, and what another rule may add as any number: too much is safe.
  int longest_from(const Grammar::State& state) const {
    if (state.plain[kind_] >= kManyCodePoints || state.accepts) return kManyCodePoints;
    int longest = 0;
    for (uint32_t i = state.bytes_begin; i < state.bytes_end; ++i) {
      const Grammar::ByteEdge& edge = grammar_.byte_edges[i];
      const int through = grammar_.states[edge.next].longest[kind_] + 1;
      for (int byte = edge.first; byte <= edge.last && longest < through; ++byte)
        if (is_plain(plain_, static_cast<uint8_t>(byte))) longest = through;
    }
    for (uint32_t i = state.jumps_begin; i < state.jumps_end; ++i) {
      const Grammar::Jump& jump = grammar_.jumps[i];
      if (jump.call >= 0) return kManyCodePoints;
      longest = std::max<int>(longest, grammar_.states[jump.next].longest[kind_]);
    }
    return std::min(longest, kManyCodePoints);
  }

  Grammar& grammar_;
  const Plain plain_;
  const size_t kind_;
  std::span<const Sequence> ascii_, long_;
};

}  // namespace

void find_plain_states(Grammar& grammar) {
  for (const Plain plain : kPlains) {
    PlainFinder finder(grammar, plain);
    finder.run();
    finder.find_longest();
  }
}

}  // namespace gemma4::constrain
