// Grammars against a recogniser that works on their text's tree, without automata or stacks.
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>

#include "constrain/ebnf.h"
#include "constrain/ebnf_parser.h"
#include "constrain/explorer.h"

namespace gemma4::constrain {
namespace {

constexpr int kSymbols = 1000;  // control token `id` is kSymbols + id in a text
using Text = std::vector<int>;  // the others are ASCII
using Ends = std::set<size_t>;

class Oracle {
 public:
  explicit Oracle(std::string_view source) : rules_(parse_ebnf(source).value()) {
    for (size_t r = 0; r < rules_.size(); ++r)
      if (rules_[r].name == "root") root_ = r;
  }

  bool accepts(const Text& text) const {
    return ends(rules_[root_].body, text, 0).contains(text.size());
  }

  // A random text of the grammar; nothing if it grows long.
  std::optional<Text> sample(std::mt19937& random) const {
    Text text;
    if (!append_sample(rules_[root_].body, random, 0, text)) return std::nullopt;
    return text;
  }

 private:
  static bool contains(const CodePointSet& set, int c) {
    for (const CodeRange& range : set)
      if (static_cast<int>(range.first) <= c && c <= static_cast<int>(range.last)) return true;
    return false;
  }

  // Where `node` may end in `text` if it begins at `from`.
  Ends ends(const EbnfNode& node, const Text& text, size_t from) const {
    if (node.kind == EbnfNode::Kind::kRule) return ends(rules_[node.index].body, text, from);
    const bool here = from < text.size();
    if (node.kind == EbnfNode::Kind::kSymbol)
      return here && text[from] == kSymbols + node.index ? Ends{from + 1} : Ends{};
    Ends result;
    switch (node.shape) {
      case Expression::Kind::kSet:
        if (here && text[from] < kSymbols && contains(node.set, text[from]))
          result.insert(from + 1);
        return result;
      case Expression::Kind::kAlternatives:
        for (const EbnfNode& child : node.children) result.merge(ends(child, text, from));
        return result;
      case Expression::Kind::kSequence:
        result = {from};
        for (const EbnfNode& child : node.children) result = after(child, text, result);
        return result;
      default:
        return repeated(node, text, from);
    }
  }

  Ends after(const EbnfNode& node, const Text& text, const Ends& begins) const {
    Ends result;
    for (const size_t begin : begins) result.merge(ends(node, text, begin));
    return result;
  }

  Ends repeated(const EbnfNode& node, const Text& text, size_t from) const {
    Ends last{from};
    for (int i = 0; i < node.min; ++i) last = after(node.children[0], text, last);
    Ends result = last;
    for (int i = node.min; node.max == kUnbounded || i < node.max; ++i) {
      const size_t before = result.size();
      last = after(node.children[0], text, last);
      result.insert(last.begin(), last.end());
      if (result.size() == before) break;
    }
    return result;
  }

  bool append_sample(const EbnfNode& node, std::mt19937& random, int depth, Text& text) const {
    if (depth > 40 || text.size() > 30) return false;
    const auto append = [&](const EbnfNode& part) {
      return append_sample(part, random, depth + 1, text);
    };
    if (node.kind == EbnfNode::Kind::kRule) return append(rules_[node.index].body);
    if (node.kind == EbnfNode::Kind::kSymbol) {
      text.push_back(kSymbols + node.index);
      return true;
    }
    int count = 1;
    switch (node.shape) {
      case Expression::Kind::kSet:
        for (const CodeRange& range : node.set) count += range.first < 0x80;
        if (count == 1) return false;
        text.push_back(static_cast<int>(node.set[random() % (count - 1)].first));
        return true;
      case Expression::Kind::kAlternatives:
        return append(node.children[random() % node.children.size()]);
      case Expression::Kind::kSequence:
        return std::all_of(node.children.begin(), node.children.end(), append);
      default:
        count = node.min + static_cast<int>(random() % 3);
        if (node.max != kUnbounded) count = std::min(count, node.max);
        for (; count > 0; --count)
          if (!append(node.children[0])) return false;
        return true;
    }
  }

  std::vector<EbnfRule> rules_;
  size_t root_ = 0;
};

bool accepts(Explorer& explorer, const Text& text) {
  ConfigId config = explorer.start();
  for (const int c : text)
    config = c >= kSymbols ? explorer.step_symbol(config, c - kSymbols)
                           : explorer.step(config, static_cast<uint8_t>(c));
  return explorer.can_end(config);
}

std::string printed(const Text& text) {
  std::string result;
  for (const int c : text)
    result += c >= kSymbols ? "<" + std::to_string(c) + ">" : std::string(1, static_cast<char>(c));
  return result;
}

std::string random_part(std::mt19937& random, int depth) {
  const auto pick = [&](uint32_t n) { return random() % n; };
  if (depth == 0) {
    constexpr const char* kLeaves[] = {"\"a\"", "\"ab\"", "[a-c]",   "[^a]", "\"\"",
                                       "b",     "c",      "<[300]>", "big",  "."};
    return kLeaves[pick(10)];
  }
  const std::string inside = random_part(random, depth - 1);
  switch (pick(6)) {
    case 0:
    case 1:
      return "(" + inside + " | " + random_part(random, depth - 1) + ")";
    case 2:
      return "(" + inside + ")" + std::string(1, "?*+"[pick(3)]);
    case 3: {
      constexpr const char* kCounts[] = {"{2}", "{0}", "{2,}", "{1,3}", "{0,2}", "{2,}*"};
      return "(" + inside + ")" + kCounts[pick(6)];
    }
    default:
      return inside + " " + random_part(random, depth - 1);
  }
}

TEST(EbnfOracle, AgreesHoweverMuchBecomesAutomata) {
  std::mt19937 random(5);
  int used = 0;
  int accepted = 0;
  int rejected = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string source = "root ::= \"x\" " + random_part(random, 3) + "\nb ::= \"(\" " +
                               random_part(random, 2) + " \")\" | \"b\"\nbig ::= \"aab\" [b-d] c?" +
                               "\nc ::= [0-9] (\",\" root)? \".\" | <[301]> c";
    SCOPED_TRACE(source);
    for (const size_t work : {size_t{0}, size_t{60}, size_t{1} << 24}) {
      const auto grammar = grammar_of_ebnf(source, work);
      if (!grammar.ok()) continue;  // left-recursive
      ++used;
      const Oracle oracle(source);
      Explorer explorer(grammar.value());
      for (int j = 0; j < 30; ++j) {
        std::optional<Text> text = oracle.sample(random);
        if (!text || text->empty()) continue;
        ASSERT_TRUE(accepts(explorer, *text)) << printed(*text) << " with work " << work;
        ++accepted;
        // A neighbour, which may be in the language or not.
        const int letters[] = {'a', 'b', 'x', '(', ')', '.', '1', ',', kSymbols + 300};
        const size_t place = random() % text->size();
        if (random() % 2 == 0) {
          (*text)[place] = letters[random() % 9];
        } else {
          text->erase(text->begin() + static_cast<ptrdiff_t>(place));
        }
        const bool expected = oracle.accepts(*text);
        rejected += !expected;
        ASSERT_EQ(accepts(explorer, *text), expected) << printed(*text) << " with work " << work;
      }
    }
  }
  EXPECT_GE(used, 900);
  EXPECT_GE(accepted, 10000);
  EXPECT_GE(rejected, 5000);
}

}  // namespace
}  // namespace gemma4::constrain
