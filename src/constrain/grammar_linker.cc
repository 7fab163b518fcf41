#include "constrain/grammar_linker.h"

#include <algorithm>

#include "base/strings.h"

namespace gemma4::constrain {

Result<std::shared_ptr<const Grammar>> GrammarLinker::link() {
  living_ = finishable(Through::kAnyInput);
  if (!living_[source_.starts_[root_]]) return nothing_satisfies();
  silent_ = finishable(Through::kNoInput);
  G4_RETURN_IF_ERROR(refuse_left_recursion());
  number_states();
  auto grammar = std::make_shared<Grammar>();
  pack(*grammar);
  return std::shared_ptr<const Grammar>(std::move(grammar));
}

Error GrammarLinker::nothing_satisfies() {
  return {ErrorCode::kInvalidArgument, "nothing satisfies this: no text would be accepted"};
}

// Backwards from the accepting states; a call can be passed once its rule can be finished. What
// operations demand is not looked at.
std::vector<bool> GrammarLinker::finishable(Through through) const {
  const auto& states = source_.states_;
  struct Waiting {
    StateId state;
    RuleId call;
  };
  std::vector<std::vector<Waiting>> before(states.size());
  std::vector<std::vector<Waiting>> callers(source_.starts_.size());
  std::vector<RuleId> rule_of_start(states.size(), -1);
  for (size_t r = 0; r < source_.starts_.size(); ++r)
    rule_of_start[source_.starts_[r]] = static_cast<RuleId>(r);
  std::vector<bool> found(states.size(), false);
  std::vector<StateId> work;
  const auto add = [&](StateId state) {
    if (found[state]) return;
    found[state] = true;
    work.push_back(state);
  };
  for (size_t s = 0; s < states.size(); ++s) {
    const auto id = static_cast<StateId>(s);
    if (through == Through::kAnyInput) {
      for (const auto& edge : states[s].bytes) before[edge.next].push_back({id, -1});
      for (const auto& edge : states[s].symbols) before[edge.next].push_back({id, -1});
    }
    for (const auto& jump : states[s].jumps) {
      before[jump.next].push_back({id, jump.call});
      if (jump.call >= 0) callers[jump.call].push_back({id, jump.next});
    }
    if (states[s].accepts) add(id);
  }
  while (!work.empty()) {
    const StateId state = work.back();
    work.pop_back();
    for (const Waiting& w : before[state])
      if (w.call < 0 || found[source_.starts_[w.call]]) add(w.state);
    if (rule_of_start[state] < 0) continue;
    for (const Waiting& caller : callers[rule_of_start[state]])
      if (found[caller.call]) add(caller.state);  // `call` holds the state after the call
  }
  return found;
}

// Rules that `rule` may call before it has taken any input. `seen` has the rule for which a state
// was looked at last.
std::vector<RuleId> GrammarLinker::first_calls(RuleId rule, std::vector<RuleId>& seen) const {
  std::vector<RuleId> result;
  std::vector<StateId> work{source_.starts_[rule]};
  seen[work[0]] = rule;
  while (!work.empty()) {
    const StateId state = work.back();
    work.pop_back();
    for (const auto& jump : source_.states_[state].jumps) {
      if (!living_[jump.next]) continue;
      if (jump.call >= 0) result.push_back(jump.call);
      if (jump.call >= 0 && !silent_[source_.starts_[jump.call]]) continue;
      if (seen[jump.next] == rule) continue;
      seen[jump.next] = rule;
      work.push_back(jump.next);
    }
  }
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

Status GrammarLinker::refuse_left_recursion() const {
  const size_t count = source_.starts_.size();
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> marks(count, kNew);
  std::vector<RuleId> seen(source_.states_.size(), -1);
  struct Visit {
    RuleId rule;
    std::vector<RuleId> calls;
    size_t next = 0;
  };
  for (size_t r = 0; r < count; ++r) {
    if (marks[r] != kNew) continue;
    std::vector<Visit> path;
    marks[r] = kOpen;
    path.push_back({static_cast<RuleId>(r), first_calls(static_cast<RuleId>(r), seen)});
    while (!path.empty()) {
      Visit& visit = path.back();
      if (visit.next == visit.calls.size()) {
        marks[visit.rule] = kDone;
        path.pop_back();
        continue;
      }
      const RuleId callee = visit.calls[visit.next++];
      if (marks[callee] == kOpen)
        return Error{ErrorCode::kInvalidArgument,
                     str_cat("rule '", source_.names_[callee],
                             "' is left-recursive: it calls itself before it takes any input; "
                             "write the repetition with * or at the right end")};
      if (marks[callee] == kDone) continue;
      marks[callee] = kOpen;
      path.push_back({callee, first_calls(callee, seen)});
    }
  }
  return {};
}

// What the root reaches, rules in the order of their first use.
void GrammarLinker::number_states() {
  new_ids_.assign(source_.states_.size(), -1);
  std::vector<StateId> work;
  const auto reach = [&](StateId state) {
    if (!living_[state] || new_ids_[state] >= 0) return;
    new_ids_[state] = static_cast<StateId>(kept_.size());
    kept_.push_back(state);
    work.push_back(state);
  };
  reach(source_.starts_[root_]);
  while (!work.empty()) {
    const auto& state = source_.states_[work.back()];
    work.pop_back();
    for (const auto& edge : state.bytes) reach(edge.next);
    for (const auto& edge : state.symbols) reach(edge.next);
    for (const auto& jump : state.jumps) {
      if (!living_[jump.next]) continue;
      if (jump.call >= 0 && !living_[source_.starts_[jump.call]]) continue;
      if (jump.call >= 0) reach(source_.starts_[jump.call]);
      reach(jump.next);
    }
  }
}

void GrammarLinker::pack(Grammar& grammar) const {
  for (const StateId id : kept_) {
    const auto& state = source_.states_[id];
    Grammar::State packed{.accepts = state.accepts, .text_counter = state.text_counter};
    packed.bytes_begin = static_cast<uint32_t>(grammar.byte_edges.size());
    for (const auto& edge : state.bytes)
      if (living_[edge.next])
        grammar.byte_edges.push_back({edge.first, edge.last, new_ids_[edge.next]});
    packed.bytes_end = static_cast<uint32_t>(grammar.byte_edges.size());
    packed.symbols_begin = static_cast<uint32_t>(grammar.symbol_edges.size());
    for (const auto& edge : state.symbols)
      if (living_[edge.next]) grammar.symbol_edges.push_back({edge.symbol, new_ids_[edge.next]});
    packed.symbols_end = static_cast<uint32_t>(grammar.symbol_edges.size());
    packed.jumps_begin = static_cast<uint32_t>(grammar.jumps.size());
    for (const auto& jump : state.jumps) {
      if (!living_[jump.next]) continue;
      if (jump.call >= 0 && !living_[source_.starts_[jump.call]]) continue;
      const auto begin = static_cast<uint32_t>(grammar.operations.size());
      grammar.operations.insert(grammar.operations.end(), jump.operations.begin(),
                                jump.operations.end());
      grammar.jumps.push_back({new_ids_[jump.next], jump.call, begin,
                               static_cast<uint32_t>(grammar.operations.size())});
    }
    packed.jumps_end = static_cast<uint32_t>(grammar.jumps.size());
    packed.only_accepts = packed.accepts && packed.bytes_begin == packed.bytes_end &&
                          packed.symbols_begin == packed.symbols_end &&
                          packed.jumps_begin == packed.jumps_end;
    grammar.states.push_back(packed);
  }
  grammar.masks = source_.masks_;
  grammar.text_counters = source_.text_counters_;
  grammar.root = root_;
  for (const StateId start : source_.starts_) grammar.rule_starts.push_back(new_ids_[start]);
}

}  // namespace gemma4::constrain
