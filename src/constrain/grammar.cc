#include "constrain/grammar.h"

#include "base/strings.h"
#include "constrain/explorer.h"
#include "constrain/footprint.h"
#include "constrain/grammar_linker.h"

namespace gemma4::constrain {

size_t Grammar::bytes() const {
  size_t bytes = sizeof(*this) + bytes_of(states) + bytes_of(byte_edges) + bytes_of(symbol_edges) +
                 bytes_of(jumps) + bytes_of(operations) + bytes_of(masks) + bytes_of(rule_starts) +
                 bytes_of(text_counters);
  for (const auto& mask : masks) bytes += bytes_of(mask);
  for (const auto& counter : text_counters) bytes += bytes_of(counter);
  return bytes;
}

RuleId GrammarBuilder::add_rule(std::string_view name) {
  starts_.push_back(add_state());
  names_.emplace_back(name);
  return static_cast<RuleId>(starts_.size() - 1);
}

StateId GrammarBuilder::add_state() {
  states_.emplace_back();
  return static_cast<StateId>(states_.size() - 1);
}

void GrammarBuilder::edge(StateId from, uint8_t first, uint8_t last, StateId to) {
  states_[from].bytes.push_back({first, last, to});
  ++num_edges_;
}

void GrammarBuilder::edge_on_symbol(StateId from, int32_t symbol, StateId to) {
  states_[from].symbols.push_back({symbol, to});
  ++num_edges_;
}

void GrammarBuilder::jump(StateId from, StateId to, std::vector<Operation> operations) {
  call(from, -1, to, std::move(operations));
}

void GrammarBuilder::call(StateId from, RuleId rule, StateId to,
                          std::vector<Operation> operations) {
  num_edges_ += 1 + operations.size();
  states_[from].jumps.push_back({to, rule, std::move(operations)});
}

StateId GrammarBuilder::bytes(StateId from, std::string_view text) {
  for (const char c : text) {
    const StateId next = add_state();
    edge(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c), next);
    from = next;
  }
  return from;
}

StateId GrammarBuilder::symbol(StateId from, int32_t id) {
  const StateId next = add_state();
  edge_on_symbol(from, id, next);
  return next;
}

StateId GrammarBuilder::call(StateId from, RuleId rule) {
  const StateId next = add_state();
  call(from, rule, next);
  return next;
}

StateId GrammarBuilder::dfa(StateId from, const Dfa& dfa, StateId to) {
  if (dfa.empty()) return from;
  const auto base = static_cast<StateId>(states_.size());
  for (size_t i = 0; i < dfa.states.size(); ++i) add_state();
  for (size_t i = 0; i < dfa.states.size(); ++i) {
    const StateId state = base + static_cast<StateId>(i);
    for (const Dfa::Edge& e : dfa.states[i].edges) edge(state, e.first, e.last, base + e.next);
    if (dfa.states[i].accepts) jump(state, to);
  }
  jump(from, base);
  return base;
}

void GrammarBuilder::mark_text_counter(const std::vector<StateId>& states,
                                       std::vector<uint32_t> limits) {
  std::sort(limits.begin(), limits.end());
  limits.erase(std::unique(limits.begin(), limits.end()), limits.end());
  for (const StateId state : states)
    states_[state].text_counter = static_cast<int32_t>(text_counters_.size());
  text_counters_.push_back(std::move(limits));
}

uint32_t GrammarBuilder::add_mask(std::vector<uint32_t> words) {
  masks_.push_back(std::move(words));
  return static_cast<uint32_t>(masks_.size() - 1);
}

Result<std::shared_ptr<const Grammar>> GrammarBuilder::build(RuleId root) const {
  if (over_budget())
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("the grammar is too large: it needs ", states_.size(), " states and ",
                         num_edges_, " edges, the limits are ", kMaxStates, " and ", kMaxEdges)};
  G4_ASSIGN_OR_RETURN(std::shared_ptr<const Grammar> grammar, GrammarLinker(*this, root).link());
  const Explorer explorer(grammar);
  if (explorer.over_budget())
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("the grammar is too ambiguous: it can begin in too many ways at once, the "
                         "limit is ",
                         Explorer::kMostTops)};
  if (explorer.start() == kDeadConfig) return GrammarLinker::nothing_satisfies();
  return grammar;
}

}  // namespace gemma4::constrain
