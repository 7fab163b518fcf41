#include "constrain/grammar_linker.h"

#include <algorithm>

#include "base/strings.h"

namespace gemma4::constrain {

Result<std::shared_ptr<const Grammar>> GrammarLinker::link() {
  find_living();
  if (!living_[source_.starts_[root_]])
    return Error{ErrorCode::kInvalidArgument, "nothing satisfies this: no text would be accepted"};
  find_nullable();
  G4_RETURN_IF_ERROR(refuse_left_recursion());
  number_states();
  auto grammar = std::make_shared<Grammar>();
  pack(*grammar);
  find_plain_states(*grammar);
  return std::shared_ptr<const Grammar>(std::move(grammar));
}

// Backwards from the accepting states; a call can be passed once its rule can be finished.
void GrammarLinker::find_living() {
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
  living_.assign(states.size(), false);
  std::vector<StateId> work;
  const auto revive = [&](StateId state) {
    if (living_[state]) return;
    living_[state] = true;
    work.push_back(state);
  };
  for (size_t s = 0; s < states.size(); ++s) {
    const auto id = static_cast<StateId>(s);
    for (const auto& edge : states[s].bytes) before[edge.next].push_back({id, -1});
    for (const auto& edge : states[s].symbols) before[edge.next].push_back({id, -1});
    for (const auto& jump : states[s].jumps) {
      before[jump.next].push_back({id, jump.call});
      if (jump.call >= 0) callers[jump.call].push_back({id, jump.next});
    }
    if (states[s].accepts) revive(id);
  }
  while (!work.empty()) {
    const StateId state = work.back();
    work.pop_back();
    for (const Waiting& w : before[state])
      if (w.call < 0 || living_[source_.starts_[w.call]]) revive(w.state);
    if (rule_of_start[state] < 0) continue;
    for (const Waiting& caller : callers[rule_of_start[state]])
      if (living_[caller.call]) revive(caller.state);  // `call` holds the state after the call
  }
}

void GrammarLinker::find_nullable() {
  const auto& states = source_.states_;
  nullable_.assign(source_.starts_.size(), false);
  // A state is silent if its rule may end there without input.
  std::vector<bool> silent(states.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t s = states.size(); s-- > 0;) {
      if (silent[s]) continue;
      bool now = states[s].accepts;
      for (const auto& jump : states[s].jumps)
        now = now || (silent[jump.next] && (jump.call < 0 || silent[source_.starts_[jump.call]]));
      if (!now) continue;
      silent[s] = true;
      changed = true;
    }
  }
  for (size_t r = 0; r < nullable_.size(); ++r) nullable_[r] = silent[source_.starts_[r]];
}

// Rules that `rule` may call before it has taken any input.
std::vector<RuleId> GrammarLinker::first_calls(RuleId rule) const {
  std::vector<RuleId> result;
  std::vector<StateId> work{source_.starts_[rule]};
  std::vector<StateId> seen = work;
  while (!work.empty()) {
    const StateId state = work.back();
    work.pop_back();
    for (const auto& jump : source_.states_[state].jumps) {
      if (!living_[jump.next]) continue;
      if (jump.call >= 0) result.push_back(jump.call);
      if (jump.call >= 0 && !nullable_[jump.call]) continue;
      if (std::find(seen.begin(), seen.end(), jump.next) != seen.end()) continue;
      seen.push_back(jump.next);
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
  struct Visit {
    RuleId rule;
    std::vector<RuleId> calls;
    size_t next = 0;
  };
  for (size_t r = 0; r < count; ++r) {
    if (marks[r] != kNew) continue;
    std::vector<Visit> path;
    marks[r] = kOpen;
    path.push_back({static_cast<RuleId>(r), first_calls(static_cast<RuleId>(r))});
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
      path.push_back({callee, first_calls(callee)});
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
    Grammar::State packed{.accepts = state.accepts,
                          .counted_plain = state.counted_plain,
                          .counted_word = state.counted_word,
                          .counted_limit = state.counted_limit};
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
  grammar.root = root_;
  for (const StateId start : source_.starts_) grammar.rule_starts.push_back(new_ids_[start]);
}

}  // namespace gemma4::constrain
