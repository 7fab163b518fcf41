#include "constrain/counted_text.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "constrain/dfa_costs.h"
#include "constrain/text_lengths.h"

namespace gemma4::constrain {
namespace {

constexpr uint32_t kNoMaximum = UINT32_MAX;

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
  }

  void write(StateId from, StateId to) {
    for (size_t i = 0; i < dfa_.states.size(); ++i) states_.push_back(add_state());
    for (size_t i = 0; i < states_.size(); ++i) {
      const auto state = static_cast<int32_t>(i);
      write_edges(state);
      std::vector<Operation> enough;
      if (min_ > 0) enough.push_back({Operation::Kind::kAtLeast, 0, min_});
      if (dfa_.states[i].accepts) jump(states_[i], to, std::move(enough));
    }
    grammar_.jump(from, states_[0]);
    added_.push_back(to);  // still has the count
    grammar_.mark_text_counter(added_, std::move(limits_));
  }

 private:
  StateId add_state() { return added_.emplace_back(grammar_.add_state()); }
  void jump(StateId from, StateId to, std::vector<Operation> operations) {
    for (const Operation& operation : operations) limits_.push_back(operation.limit);
    grammar_.jump(from, to, std::move(operations));
  }

  uint32_t cost(int32_t state, const Dfa::Edge& edge) const {
    return state >= text_.first_escape ? 0 : code_points_of(edge);
  }

  // Tests come before the byte, so that a text to which nothing can be added is seen to end.
  void write_edges(int32_t state) {
    std::map<std::pair<uint32_t, uint32_t>, StateId> tested;  // by cost and what remains behind
    for (const Dfa::Edge& edge : dfa_.states[state].edges) {
      const uint32_t counted = cost(state, edge);
      const uint32_t least = least_[edge.next];
      if (max_ != kNoMaximum && counted + least > max_) continue;
      const auto [it, is_new] = tested.try_emplace({counted, least}, states_[state]);
      std::vector<Operation> test;
      if (is_new) append_test(test, counted, least, least_[state]);
      if (is_new && !test.empty()) {
        it->second = add_state();
        jump(states_[state], it->second, std::move(test));
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

  GrammarBuilder& grammar_;
  const CountedText& text_;
  const Dfa& dfa_;
  const uint32_t min_, max_;
  std::vector<uint32_t> least_;  // by state: code points to an end
  std::vector<StateId> states_;
  std::vector<StateId> added_;    // these and the others of this text
  std::vector<uint32_t> limits_;  // of all operations
};

}  // namespace

void append_counted(GrammarBuilder& grammar, StateId from, const CountedText& text, StateId to) {
  if (!text.dfa.empty()) CountedTextWriter(grammar, text).write(from, to);
}

}  // namespace gemma4::constrain
