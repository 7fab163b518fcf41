#include "constrain/ebnf_inliner.h"

#include <algorithm>

namespace gemma4::constrain {
namespace {

void append_names(const EbnfNode& node, std::vector<int>& rules) {
  if (node.kind == EbnfNode::Kind::kRule) rules.push_back(node.index);
  for (const EbnfNode& child : node.children) append_names(child, rules);
}

}  // namespace

// Rules are measured once all that they name are. Those that stay over name themselves, or a rule
// that does.
EbnfInliner::EbnfInliner(std::vector<EbnfRule>& rules, const EbnfLetters& letters)
    : rules_(rules), letters_(letters), letter_rules_(rules.size(), true) {
  std::vector<std::vector<int>> users(rules.size());
  std::vector<size_t> missing(rules.size());
  std::vector<int> ready;
  for (size_t r = 0; r < rules.size(); ++r) {
    std::vector<int> names;
    append_names(rules[r].body, names);
    for (const int name : names) users[name].push_back(static_cast<int>(r));
    missing[r] = names.size();
    if (names.empty()) ready.push_back(static_cast<int>(r));
  }
  for (; !ready.empty();) {
    const int rule = ready.back();
    ready.pop_back();
    EbnfNode& body = rules[rule].body;
    measure(body);
    letter_rules_[rule] = body.inlined_nodes == 0 || body.inlined_height >= kMaxEbnfHeight ||
                          (body.inlined_nodes > kMostCopied && users[rule].size() > 1);
    for (const int user : users[rule])
      if (--missing[user] == 0) ready.push_back(user);
  }
  for (size_t r = 0; r < rules.size(); ++r)
    if (missing[r] > 0) measure(rules[r].body);
}

bool EbnfInliner::is_letter(const EbnfNode& node) const {
  if (node.kind != EbnfNode::Kind::kRule) return node.kind == EbnfNode::Kind::kSymbol;
  return letter_rules_[node.index];
}

void EbnfInliner::measure(EbnfNode& node) const {
  if (node.kind == EbnfNode::Kind::kRule && !is_letter(node)) {
    node.inlined_nodes = rules_[node.index].body.inlined_nodes;
    node.inlined_height = rules_[node.index].body.inlined_height + 1;
    return;
  }
  int nodes = 1;
  int height = 1;
  bool fits = true;
  for (EbnfNode& child : node.children) {
    measure(child);
    fits = fits && child.inlined_nodes > 0;
    nodes = std::min(nodes + child.inlined_nodes, kMostNodes + 1);
    height = std::max(height, child.inlined_height + 1);
  }
  if (!fits || nodes > kMostNodes || height > kMaxEbnfHeight) return;
  node.inlined_nodes = nodes;
  node.inlined_height = height;
}

std::optional<Expression> EbnfInliner::write_out(const EbnfNode& node) const {
  if (node.inlined_nodes == 0) return std::nullopt;
  return copy(node);
}

Expression EbnfInliner::copy(const EbnfNode& node) const {
  if (is_letter(node)) {
    const char32_t letter = letters_.of(node);
    return {.kind = Expression::Kind::kSet, .set = {{letter, letter}}};
  }
  if (node.kind == EbnfNode::Kind::kRule) return copy(rules_[node.index].body);
  Expression result{.kind = node.shape, .set = node.set, .min = node.min, .max = node.max};
  result.children.reserve(node.children.size());
  for (const EbnfNode& child : node.children) result.children.push_back(copy(child));
  return result;
}

}  // namespace gemma4::constrain
