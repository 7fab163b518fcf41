#include "constrain/ebnf_letters.h"

#include <algorithm>

namespace gemma4::constrain {

EbnfLetters::EbnfLetters(const std::vector<EbnfRule>& rules) : num_rules_(rules.size()) {
  for (const EbnfRule& rule : rules) collect(rule.body);
}

void EbnfLetters::collect(const EbnfNode& node) {
  if (node.kind == EbnfNode::Kind::kSymbol && places_.emplace(node.index, size()).second)
    symbols_.push_back(node.index);
  for (const EbnfNode& child : node.children) collect(child);
}

EbnfLetters::Edge EbnfLetters::edge(size_t letter, int32_t next) const {
  const size_t place = letter - kFirst;
  if (place < num_rules_) return {EbnfNode::Kind::kRule, static_cast<int>(place), next};
  return {EbnfNode::Kind::kSymbol, symbols_[place - num_rules_], next};
}

// Goes through all four bytes of all letters.
std::vector<EbnfLetters::Edge> EbnfLetters::edges(const Dfa& dfa, int32_t state) const {
  const std::vector<Dfa::Edge>& all = dfa.states[state].edges;
  if (all.empty() || all.back().last < kFirstByte) return {};
  struct Part {
    size_t bits;
    int32_t state;
  };
  std::vector<Part> parts{{0, state}};
  for (int place = 0; place < 4; ++place) {
    const int lowest = place == 0 ? kFirstByte : 0x80;
    const size_t mask = place == 0 ? 0x07 : 0x3F;
    std::vector<Part> longer;
    for (const Part& part : parts)
      for (const Dfa::Edge& edge : dfa.states[part.state].edges)
        for (int byte = std::max<int>(edge.first, lowest); byte <= edge.last; ++byte)
          longer.push_back({part.bits << 6 | (static_cast<size_t>(byte) & mask), edge.next});
    parts = std::move(longer);
  }
  std::vector<Edge> result;
  for (const Part& part : parts) result.push_back(edge(part.bits, part.state));
  return result;
}

}  // namespace gemma4::constrain
