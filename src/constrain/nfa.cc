#include "constrain/nfa.h"

#include <algorithm>
#include <array>
#include <map>

namespace gemma4::constrain {

namespace {

Error too_large_error() { return {ErrorCode::kResourceExhausted, "needs too large an automaton"}; }

}  // namespace

class SubsetConstruction {
 public:
  SubsetConstruction(const Nfa& nfa, int final, bool prefixes, size_t& work, size_t max_states)
      : nfa_(nfa),
        final_(final),
        prefixes_(prefixes),
        max_states_(max_states),
        work_(work),
        seen_(nfa.states_.size()) {}

  Result<Dfa> run(int start) {
    find(close({start}, true), true);
    for (size_t i = 0; i < sets_.size(); ++i) {
      expand(i);
      if (sets_.size() > max_states_ || work_ == 0) return too_large_error();
    }
    spend(num_transitions(result_));
    if (work_ == 0) return too_large_error();
    return minimise(result_);
  }

 private:
  using Set = std::vector<int>;

  void spend(size_t amount) { work_ -= std::min(work_, amount); }

  // `set` and what it reaches without input, at the begin of the text or not, but not at its end.
  Set close(Set set, bool at_begin, bool at_end = false) {
    ++round_;
    for (const int s : set) seen_[s] = round_;
    for (size_t i = 0; i < set.size(); ++i) {
      if (prefixes_ && set[i] == final_) return {final_};
      const std::vector<Nfa::Jump>& jumps = nfa_.states_[set[i]].jumps;
      spend(1 + jumps.size());
      for (const Nfa::Jump& jump : jumps) {
        if (seen_[jump.to] == round_) continue;
        if (jump.where == Nfa::Where::kAtBegin && !at_begin) continue;
        if (jump.where == Nfa::Where::kAtEnd && !at_end) continue;
        seen_[jump.to] = round_;
        set.push_back(jump.to);
      }
    }
    std::sort(set.begin(), set.end());
    return set;
  }

  int32_t find(const Set& set, bool at_begin) {
    const auto [it, is_new] = ids_.emplace(set, static_cast<int32_t>(sets_.size()));
    // Only the start can be at the begin; keep it apart from the same set later on.
    if (!is_new && !(it->second == 0 && !at_begin)) return it->second;
    if (!is_new && start_again_ >= 0) return start_again_;
    if (!is_new) start_again_ = static_cast<int32_t>(sets_.size());
    sets_.push_back(set);
    const Set ended = close(set, at_begin, true);
    const bool accepts = std::binary_search(ended.begin(), ended.end(), final_);
    result_.states.push_back({accepts, {}});
    return static_cast<int32_t>(sets_.size()) - 1;
  }

  void expand(size_t index) {
    const Set set = sets_[index];
    if (prefixes_ && set == Set{final_}) {
      append_any_text(index);
      return;
    }
    std::vector<Nfa::Edge> edges;
    std::array<bool, 257> borders{};
    for (const int state : set)
      for (const Nfa::Edge& edge : nfa_.states_[state].edges) {
        edges.push_back(edge);
        borders[edge.first] = borders[edge.last + 1] = true;
      }
    for (int byte = 0; byte < 256 && work_ > 0;) {
      int end = byte + 1;
      while (end < 256 && !borders[end]) ++end;
      Set next;
      for (const Nfa::Edge& edge : edges)
        if (edge.first <= byte && byte <= edge.last) next.push_back(edge.to);
      spend(edges.size());
      if (!next.empty()) {
        std::sort(next.begin(), next.end());
        next.erase(std::unique(next.begin(), next.end()), next.end());
        const int32_t to = find(close(std::move(next), false), false);
        result_.states[index].edges.push_back(
            {static_cast<uint8_t>(byte), static_cast<uint8_t>(end - 1), to});
      }
      byte = end;
    }
  }

  // From here on any text will do: a copy of any_text() whose start is this state.
  void append_any_text(size_t index) {
    const auto base = static_cast<int32_t>(sets_.size()) - 1;
    const Dfa& any = any_text();
    const auto name = [&](int32_t s) { return s == 0 ? static_cast<int32_t>(index) : base + s; };
    for (size_t s = 0; s < any.states.size(); ++s) {
      if (s > 0) {
        sets_.emplace_back();  // an empty set: never looked up, expands to nothing
        result_.states.push_back({});
      }
      for (const Dfa::Edge& edge : any.states[s].edges)
        result_.states[name(static_cast<int32_t>(s))].edges.push_back(
            {edge.first, edge.last, name(edge.next)});
    }
  }

  const Nfa& nfa_;
  const int final_;
  const bool prefixes_;
  const size_t max_states_;
  size_t& work_;  // what may still be done
  std::vector<uint32_t> seen_;
  uint32_t round_ = 0;
  std::map<Set, int32_t> ids_;
  std::vector<Set> sets_;
  int32_t start_again_ = -1;
  Dfa result_;
};

Result<Dfa> Nfa::determinise(int start, int final, bool prefixes, size_t& work,
                             size_t max_states) const {
  work -= std::min(work, num_parts_);
  if (too_large()) return too_large_error();
  return SubsetConstruction(*this, final, prefixes, work, max_states).run(start);
}

const Dfa& any_text() {
  static const Dfa* const kAny = [] {
    Nfa nfa;
    const int start = nfa.add_state();
    const int final = nfa.add_state();
    nfa.code_point(start, normalised({{0, kLastCodePoint}}), start);
    nfa.jump(start, final);
    return new Dfa(nfa.determinise(start, final, false).value());
  }();
  return *kAny;
}

}  // namespace gemma4::constrain
