#include "constrain/counted_text.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "constrain/dfa_costs.h"
#include "constrain/plain_steps.h"
#include "constrain/text_lengths.h"

namespace gemma4::constrain {
namespace {

constexpr uint32_t kNoMaximum = UINT32_MAX;

struct Even {
  Plain plain;
  uint32_t least;  // code points to an end, behind each code point
};

class CountedTextWriter {
 public:
  CountedTextWriter(GrammarBuilder& grammar, const CountedText& text)
      : grammar_(grammar),
        text_(text),
        dfa_(text.dfa),
        min_(static_cast<uint32_t>(std::min<uint64_t>(text.min, kNoMaximum - 1))),
        max_(static_cast<uint32_t>(std::min<uint64_t>(text.max, kNoMaximum))),
        least_(least_to_end(dfa_, [&](int32_t s, const Dfa::Edge& e) { return cost(s, e); })) {
    if (max_ == kNoMaximum) least_.assign(least_.size(), 0);  // they do not matter
    for (const uint32_t least : least_) furthest_ = std::max(furthest_, least);
  }

  void write(StateId from, StateId to) {
    for (size_t i = 0; i < dfa_.states.size(); ++i) states_.push_back(grammar_.add_state());
    find_plain_states();
    for (size_t i = 0; i < states_.size(); ++i) {
      const auto state = static_cast<int32_t>(i);
      if (free_[i]) {
        write_far_edges(state);
      } else {
        write_edges(state, {});
      }
      std::vector<Operation> enough;
      if (min_ > 0) enough.push_back({Operation::Kind::kAtLeast, 0, min_});
      if (dfa_.states[i].accepts) grammar_.jump(states_[i], to, std::move(enough));
    }
    grammar_.jump(from, states_[0]);
  }

 private:
  uint32_t cost(int32_t state, const Dfa::Edge& edge) const {
    return state >= text_.first_escape ? 0 : code_points_of(edge);
  }

  // Plain text of which every code point leads to a state that is as far from an end needs no
  // trying out of tokens; nor does any other, far from the maximum.
  void find_plain_states() {
    even_.resize(states_.size());
    free_.resize(states_.size());
    for (const Plain plain : kPlains) {
      const PlainSteps steps(dfa_, plain);
      const auto distance = [&](int32_t state) {
        const auto& next = steps.next(state);
        return next.empty() ? kNoMaximum : least_[next[0]];
      };
      const auto even = steps.keep_going([&](int32_t from, int32_t to) {
        return least_[to] == distance(from) && distance(to) == distance(from);
      });
      const auto any = steps.keep_going([](int32_t, int32_t) { return true; });
      for (size_t i = 0; i < states_.size(); ++i) {
        if (any[i]) free_[i] = plain;
        if (!even[i]) continue;
        even_[i] = Even{plain, distance(static_cast<int32_t>(i))};
        free_[i] = std::nullopt;
      }
    }
    if (max_ <= furthest_) free_.assign(states_.size(), std::nullopt);
  }

  // One test for all edges while every state can still be left in time; then one for each.
  void write_far_edges(int32_t state) {
    const uint32_t limit = max_ - furthest_;
    const StateId far = grammar_.add_state();
    grammar_.jump(states_[state], far, {{Operation::Kind::kCountBelow, 0, limit}});
    grammar_.mark_counted(far, {.plain = *free_[state], .limit = limit, .exact = false});
    for (const Dfa::Edge& edge : dfa_.states[state].edges)
      grammar_.edge(far, edge.first, edge.last, states_[edge.next]);
    write_edges(state, {{Operation::Kind::kAtLeast, 0, limit}});
  }

  // Tests come before the byte, so that a text to which nothing can be added is seen to end.
  void write_edges(int32_t state, const std::vector<Operation>& before) {
    std::map<std::pair<uint32_t, uint32_t>, StateId> tested;  // by cost and what remains behind
    for (const Dfa::Edge& edge : dfa_.states[state].edges) {
      const uint32_t counted = cost(state, edge);
      const uint32_t least = least_[edge.next];
      if (max_ != kNoMaximum && counted + least > max_) continue;
      const auto [it, is_new] = tested.try_emplace({counted, least}, states_[state]);
      std::vector<Operation> test = before;
      if (is_new) append_test(test, counted, least, least_[state]);
      if (is_new && !test.empty()) {
        it->second = grammar_.add_state();
        grammar_.jump(states_[state], it->second, std::move(test));
        if (counted == 1) mark(state, least, it->second);
      }
      grammar_.edge(it->second, edge.first, edge.last, states_[edge.next]);
    }
  }

  void append_test(std::vector<Operation>& test, uint32_t counted, uint32_t least, uint32_t now) {
    if (max_ != kNoMaximum && counted == 1) {
      test.push_back({Operation::Kind::kCountBelow, 0, max_ - least});
    } else if (max_ != kNoMaximum && least > now) {
      test.push_back({Operation::Kind::kBelow, 0, max_ - least + 1});
    } else if (max_ == kNoMaximum && counted == 1) {
      test.push_back({Operation::Kind::kCountUpTo, 0, min_});
    }
  }

  void mark(int32_t state, uint32_t least, StateId tested) {
    const std::optional<Even>& even = even_[state];
    if (!even || even->least != least) return;
    grammar_.mark_counted(
        tested, {.plain = even->plain, .limit = max_ == kNoMaximum ? kNoMaximum : max_ - least});
  }

  GrammarBuilder& grammar_;
  const CountedText& text_;
  const Dfa& dfa_;
  const uint32_t min_, max_;
  std::vector<uint32_t> least_;  // by state: code points to an end
  uint32_t furthest_ = 0;        // the largest of these
  std::vector<StateId> states_;
  // By state: the widest kind of plain text that may follow whatever it is while `least` is the
  // same all the way; and a wider one that may follow too.
  std::vector<std::optional<Even>> even_;
  std::vector<std::optional<Plain>> free_;
};

}  // namespace

void append_counted(GrammarBuilder& grammar, StateId from, const CountedText& text, StateId to) {
  if (!text.dfa.empty()) CountedTextWriter(grammar, text).write(from, to);
}

}  // namespace gemma4::constrain
