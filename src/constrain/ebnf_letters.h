// Calls of rules and control tokens as letters, so that a whole rule can become one automaton. A
// letter is written like a code point that Unicode does not have, so no text contains it.
#pragma once

#include <map>
#include <vector>

#include "constrain/dfa.h"
#include "constrain/ebnf_parser.h"

namespace gemma4::constrain {

class EbnfLetters {
 public:
  static constexpr size_t kMost = 0xC0000;
  // Bytes from here on begin letters and nothing else.
  static constexpr uint8_t kFirstByte = 0xF5;

  // One for each rule and each control token in `rules`.
  explicit EbnfLetters(const std::vector<EbnfRule>& rules);

  size_t size() const { return num_rules_ + symbols_.size(); }
  // Of a node that is a rule or a control token; there must not be more than kMost.
  char32_t of(const EbnfNode& node) const {
    const size_t place = node.kind == EbnfNode::Kind::kRule ? static_cast<size_t>(node.index)
                                                            : places_.find(node.index)->second;
    return static_cast<char32_t>(kFirst + place);
  }

  // Edges of `dfa` from `state` by a letter: what it stands for, and where it leads.
  struct Edge {
    EbnfNode::Kind kind;
    int index;
    int32_t next;
  };
  std::vector<Edge> edges(const Dfa& dfa, int32_t state) const;

 private:
  static constexpr size_t kFirst = 0x140000;  // the first whose first byte is kFirstByte

  void collect(const EbnfNode& node);
  Edge edge(size_t letter, int32_t next) const;

  size_t num_rules_;
  std::vector<int> symbols_;      // their ids, by place
  std::map<int, size_t> places_;  // of symbols among the letters
};

}  // namespace gemma4::constrain
