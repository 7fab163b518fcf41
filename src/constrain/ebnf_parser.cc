#include "constrain/ebnf_parser.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/strings.h"
#include "text/utf8.h"

namespace gemma4::constrain {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

class EbnfParser {
 public:
  explicit EbnfParser(std::string_view source) : source_(source) {}

  Result<std::vector<EbnfRule>> parse() {
    if (!text::is_well_formed(source_)) return fail("is not UTF-8");
    for (skip(); position_ < source_.size(); skip()) {
      const std::string name = take_name();
      if (name.empty()) return fail("a rule must begin with its name");
      skip();
      if (!take("::=")) return fail(str_cat("'", name, "' lacks its ::="));
      const int rule = find(name);
      if (rules_[rule].defined) return fail(str_cat("rule '", name, "' is defined twice"));
      rules_[rule].defined = true;
      G4_ASSIGN_OR_RETURN(EbnfNode body, alternatives(0));
      rules_[rule].body = std::move(body);
    }
    for (const EbnfRule& rule : rules_)
      if (!rule.defined) return fail(str_cat("rule '", rule.name, "' is not defined"));
    return std::move(rules_);
  }

 private:
  static constexpr int kMaxDepth = 200;
  static constexpr int kMaxRepeat = 100000;

  Error fail(std::string_view what, ErrorCode code = ErrorCode::kInvalidArgument) const {
    const auto line = 1 + std::count(source_.begin(), source_.begin() + position_, '\n');
    return {code, str_cat("grammar, line ", line, ": ", what)};
  }
  bool done() const { return position_ == source_.size(); }
  char peek() const { return done() ? '\0' : source_[position_]; }
  bool take(std::string_view text) {
    if (!source_.substr(position_).starts_with(text)) return false;
    position_ += text.size();
    return true;
  }
  void skip() {
    while (!done()) {
      if (peek() == '#') {
        position_ = std::min(source_.find('\n', position_), source_.size());
      } else if (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') {
        ++position_;
      } else {
        return;
      }
    }
  }
  // `.` alone is any code point, so a name does not begin with it.
  std::string take_name() {
    const size_t begin = position_;
    while (!done() && is_name_char(peek()) && !(position_ == begin && peek() == '.')) ++position_;
    return std::string(source_.substr(begin, position_ - begin));
  }
  bool rule_begins() {
    const size_t here = position_;
    const bool begins =
        !take_name().empty() && (skip(), source_.substr(position_).starts_with("::="));
    position_ = here;
    return begins;
  }
  int find(const std::string& name) {
    const auto [it, is_new] = numbers_.emplace(name, static_cast<int>(rules_.size()));
    if (is_new) rules_.push_back({.name = name});
    return it->second;
  }

  // Puts `child` behind the other children of `node`.
  Status adopt(EbnfNode& node, EbnfNode child) {
    node.height = std::max(node.height, child.height + 1);
    if (node.height > kMaxEbnfHeight)
      return fail("groups or repetitions of repetitions are nested too deep");
    node.children.push_back(std::move(child));
    return {};
  }

  static EbnfNode take_only_child(EbnfNode& node) {
    EbnfNode child = std::move(node.children[0]);
    return child;
  }

  Result<EbnfNode> alternatives(int depth) {
    if (depth > kMaxDepth) return fail("groups are nested too deep");
    EbnfNode result{.shape = Expression::Kind::kAlternatives};
    do {
      G4_ASSIGN_OR_RETURN(EbnfNode branch, sequence(depth));
      G4_RETURN_IF_ERROR(adopt(result, std::move(branch)));
      skip();
    } while (take("|"));
    if (result.children.size() == 1) return take_only_child(result);
    return result;
  }

  Result<EbnfNode> sequence(int depth) {
    EbnfNode result{.shape = Expression::Kind::kSequence};
    for (skip(); !done() && peek() != '|' && peek() != ')' && !rule_begins(); skip()) {
      G4_ASSIGN_OR_RETURN(EbnfNode item, quantified(depth));
      G4_RETURN_IF_ERROR(adopt(result, std::move(item)));
    }
    if (result.children.size() == 1) return take_only_child(result);
    return result;
  }

  Result<EbnfNode> quantified(int depth) {
    G4_ASSIGN_OR_RETURN(EbnfNode item, atom(depth));
    for (skip();; skip()) {
      EbnfNode repeat{.shape = Expression::Kind::kRepeat, .max = kUnbounded};
      if (take("+")) {
        repeat.min = 1;
      } else if (take("?")) {
        repeat.max = 1;
      } else if (take("{")) {
        G4_RETURN_IF_ERROR(bounds(repeat));
      } else if (!take("*")) {
        return item;
      }
      G4_RETURN_IF_ERROR(adopt(repeat, std::move(item)));
      item = std::move(repeat);
    }
  }

  Status bounds(EbnfNode& repeat) {
    skip();
    if (!number(repeat.min)) return fail("a '{' needs a number");
    repeat.max = repeat.min;
    skip();
    if (take(",")) {
      skip();
      if (!number(repeat.max)) repeat.max = kUnbounded;
      skip();
    }
    if (!take("}")) return fail("a '{' lacks its '}'");
    if (std::max(repeat.min, repeat.max) > kMaxRepeat)
      return fail(str_cat("a count is above ", kMaxRepeat), ErrorCode::kResourceExhausted);
    if (repeat.max != kUnbounded && repeat.max < repeat.min)
      return fail("a repetition has its bounds out of order");
    return {};
  }

  // Numbers above kMaxRepeat may come out as any other one above it.
  bool number(int& value) {
    const char* begin = source_.data() + position_;
    const auto [end, error] = std::from_chars(begin, source_.data() + source_.size(), value);
    if (end == begin || *begin == '-') return false;
    if (error != std::errc()) value = kMaxRepeat + 1;
    position_ += static_cast<size_t>(end - begin);
    return true;
  }

  Result<EbnfNode> atom(int depth) {
    if (take("(")) {
      G4_ASSIGN_OR_RETURN(EbnfNode inside, alternatives(depth + 1));
      if (!take(")")) return fail("a '(' lacks its ')'");
      return inside;
    }
    if (take("\"")) return literal();
    if (take("[")) return char_class();
    if (take("<[")) return symbol();
    if (take(".")) return of_set({{0, kLastCodePoint}});
    const std::string name = take_name();
    if (name.empty()) return fail(str_cat("'", std::string(1, peek()), "' is out of place"));
    return EbnfNode{.kind = EbnfNode::Kind::kRule, .index = find(name)};
  }

  Result<EbnfNode> symbol() {
    int id = 0;
    const char* begin = source_.data() + position_;
    const auto [end, error] = std::from_chars(begin, source_.data() + source_.size(), id);
    position_ += static_cast<size_t>(end - begin);
    if (error != std::errc() || id < 0 || !take("]>")) return fail("a token is <[its id]>");
    return EbnfNode{.kind = EbnfNode::Kind::kSymbol, .index = id};
  }

  static EbnfNode of_set(const CodePointSet& set) {
    return {.shape = Expression::Kind::kSet, .set = normalised(set)};
  }

  Result<EbnfNode> literal() {
    EbnfNode result{.shape = Expression::Kind::kSequence};
    while (!take("\"")) {
      if (done() || peek() == '\n') return fail("a literal does not end");
      G4_ASSIGN_OR_RETURN(const char32_t c, character());
      G4_RETURN_IF_ERROR(adopt(result, of_set({{c, c}})));
    }
    return result;
  }

  Result<EbnfNode> char_class() {
    const bool negated = take("^");
    CodePointSet set;
    while (!take("]")) {
      if (done() || peek() == '\n') return fail("a '[' lacks its ']'");
      G4_ASSIGN_OR_RETURN(const char32_t first, character());
      char32_t last = first;
      if (peek() == '-' && !source_.substr(position_).starts_with("-]")) {
        ++position_;
        if (done()) return fail("a '[' lacks its ']'");
        G4_ASSIGN_OR_RETURN(last, character());
      }
      if (last < first) return fail("a class has a range with its ends out of order");
      set.push_back({first, last});
    }
    return of_set(negated ? complement(set) : set);
  }

  Result<char32_t> character() {
    if (!take("\\")) return text::next_code_point(source_, position_);
    if (done()) return fail("the text ends with a backslash");
    const char c = source_[position_++];
    switch (c) {
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 't':
        return U'\t';
      case 'x':
        return code_point(2);
      case 'u':
        return code_point(4);
      case 'U':
        return code_point(8);
      default:
        break;
    }
    if (std::string_view("\\\"[]-^").find(c) == std::string_view::npos)
      return fail(str_cat("unknown escape \\", std::string(1, c)));
    return static_cast<char32_t>(c);
  }

  Result<char32_t> code_point(size_t digits) {
    uint32_t value = 0;
    const char* begin = source_.data() + position_;
    const char* limit = begin + std::min(digits, source_.size() - position_);
    const auto [end, error] = std::from_chars(begin, limit, value, 16);
    if (error != std::errc() || end != begin + digits || value > kLastCodePoint)
      return fail("an escape lacks its hexadecimal digits or is beyond U+10FFFF");
    position_ += digits;
    return static_cast<char32_t>(value);
  }

  const std::string_view source_;
  size_t position_ = 0;
  std::vector<EbnfRule> rules_;
  std::map<std::string, int> numbers_;
};

}  // namespace

Result<std::vector<EbnfRule>> parse_ebnf(std::string_view source) {
  return EbnfParser(source).parse();
}

}  // namespace gemma4::constrain
