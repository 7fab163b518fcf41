#include "constrain/regex.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/strings.h"
#include "constrain/expression.h"
#include "text/utf8.h"

namespace gemma4::constrain {
namespace {

const CodePointSet kDigits{{'0', '9'}};
const CodePointSet kWord{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodePointSet kSpaces{{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
                           {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                           {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodePointSet kLineEnds{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

bool is_begin(const Expression& e) { return e.kind == Expression::Kind::kBegin; }
bool is_lookahead(const Expression& e) {
  return e.kind == Expression::Kind::kAhead || e.kind == Expression::Kind::kNotAhead;
}
bool is_lookahead_or_begin(const Expression& e) { return is_begin(e) || is_lookahead(e); }

class RegexParser {
 public:
  RegexParser(std::string_view pattern, RegexMode mode) : pattern_(pattern), mode_(mode) {}

  Result<Expression> parse() {
    if (!text::is_well_formed(pattern_)) return fail("is not UTF-8");
    G4_ASSIGN_OR_RETURN(Expression whole, alternatives(0));
    if (position_ < pattern_.size()) return fail("has a ')' without its '('");
    return whole;
  }

 private:
  static constexpr int kMaxDepth = 200;
  static constexpr int kMaxRepeat = 100000;

  bool done() const { return position_ == pattern_.size(); }
  char peek() const { return done() ? '\0' : pattern_[position_]; }
  bool take(std::string_view text) {
    if (!pattern_.substr(position_).starts_with(text)) return false;
    position_ += text.size();
    return true;
  }
  Error fail(std::string_view what, ErrorCode code = ErrorCode::kInvalidArgument) const {
    return {code, str_cat("the regular expression ", what, " (byte ", position_, ")")};
  }
  Error unsupported(std::string_view what) const {
    return fail(str_cat("uses ", what, ", which cannot be enforced"), ErrorCode::kUnsupported);
  }

  Result<Expression> alternatives(int depth) {
    if (depth > kMaxDepth) return fail(str_cat("nests more than ", kMaxDepth, " groups"));
    Expression result{.kind = Expression::Kind::kAlternatives};
    do {
      G4_ASSIGN_OR_RETURN(Expression branch, sequence(depth));
      result.children.push_back(std::move(branch));
    } while (take("|"));
    if (result.children.size() == 1) {
      Expression only = std::move(result.children[0]);
      return only;
    }
    return result;
  }

  Result<Expression> sequence(int depth) {
    Expression result{.kind = Expression::Kind::kSequence};
    while (!done() && peek() != '|' && peek() != ')') {
      const size_t begin = position_;
      G4_ASSIGN_OR_RETURN(Expression item, quantified(depth));
      if (is_lookahead(item) && (depth > 0 || !begins_with_anchor(result))) {
        position_ = begin;
        return unsupported("lookaround that is not directly behind a '^' at the begin");
      }
      result.children.push_back(std::move(item));
    }
    return result;
  }

  // Whether all of `sequence` is about the begin of the text.
  bool begins_with_anchor(const Expression& sequence) const {
    const auto& all = sequence.children;
    return std::all_of(all.begin(), all.end(), is_lookahead_or_begin) &&
           (mode_ == RegexMode::kWhole || std::any_of(all.begin(), all.end(), is_begin));
  }

  Result<Expression> quantified(int depth) {
    if (take("^")) return Expression{.kind = Expression::Kind::kBegin};
    if (take("$")) return Expression{.kind = Expression::Kind::kEnd};
    if (take("(?=")) return lookahead(Expression::Kind::kAhead, depth);
    if (take("(?!")) return lookahead(Expression::Kind::kNotAhead, depth);
    G4_ASSIGN_OR_RETURN(Expression item, atom(depth));
    Expression repeat{.kind = Expression::Kind::kRepeat, .max = kUnbounded};
    if (take("+")) {
      repeat.min = 1;
    } else if (take("?")) {
      repeat.max = 1;
    } else if (take("{")) {
      G4_RETURN_IF_ERROR(bounds(repeat));
    } else if (!take("*")) {
      return item;
    }
    take("?");  // lazy: the same texts
    if (!done() && std::string_view("*+?{").find(peek()) != std::string_view::npos)
      return fail("repeats a repetition; group it");
    repeat.children.push_back(std::move(item));
    return repeat;
  }

  Status bounds(Expression& repeat) {
    const std::optional<int> min = number();
    if (!min) return fail("has a '{' without a number; write \\{ for the character");
    repeat.min = repeat.max = *min;
    if (take(",")) repeat.max = number().value_or(kUnbounded);
    if (!take("}")) return fail("lacks a '}'");
    if (std::max(repeat.min, repeat.max) > kMaxRepeat)
      return fail(str_cat("has a count above ", kMaxRepeat), ErrorCode::kResourceExhausted);
    if (repeat.max != kUnbounded && repeat.max < repeat.min)
      return fail("has a repetition with its bounds out of order");
    return {};
  }

  // Numbers above kMaxRepeat may come out as any other one above it.
  std::optional<int> number() {
    int value = 0;
    const char* begin = pattern_.data() + position_;
    const auto [end, error] = std::from_chars(begin, pattern_.data() + pattern_.size(), value);
    if (end == begin || *begin == '-') return std::nullopt;
    position_ += static_cast<size_t>(end - begin);
    return error == std::errc() ? value : kMaxRepeat + 1;
  }

  Result<Expression> atom(int depth) {
    if (take("(")) return group(depth);
    if (take("[")) return char_class();
    if (take("\\")) {
      G4_ASSIGN_OR_RETURN(CodePointSet set, escape(false));
      return of_set(set);
    }
    if (take(".")) return of_set(complement(kLineEnds));
    if (std::string_view("*+?{}]").find(peek()) != std::string_view::npos)
      return fail(str_cat("has a '", std::string(1, peek()), "' out of place"));
    return of_set(single(text::next_code_point(pattern_, position_)));
  }

  static Expression of_set(const CodePointSet& set) {
    return {.kind = Expression::Kind::kSet, .set = normalised(set)};
  }

  Result<Expression> lookahead(Expression::Kind kind, int depth) {
    Expression result{.kind = kind};
    G4_ASSIGN_OR_RETURN(result.children.emplace_back(), alternatives(depth + 1));
    if (!take(")")) return fail("lacks a ')'");
    return result;
  }

  Result<Expression> group(int depth) {
    if (take("?")) {
      if (take("<=") || take("<!")) return unsupported("lookbehind");
      if (take("<")) {
        const size_t end = pattern_.find('>', position_);
        if (end == std::string_view::npos) return fail("has a group whose name does not end");
        position_ = end + 1;
      } else if (!take(":")) {
        return fail("has an unknown kind of group");
      }
    }
    G4_ASSIGN_OR_RETURN(Expression inside, alternatives(depth + 1));
    if (!take(")")) return fail("lacks a ')'");
    return inside;
  }

  Result<Expression> char_class() {
    const bool negated = take("^");
    CodePointSet set;
    while (!take("]")) {
      if (done()) return fail("lacks a ']'");
      G4_ASSIGN_OR_RETURN(const CodePointSet first, class_atom());
      set.insert(set.end(), first.begin(), first.end());
      if (peek() != '-' || pattern_.substr(position_).starts_with("-]")) continue;
      ++position_;
      G4_ASSIGN_OR_RETURN(const CodePointSet last, class_atom());
      if (!is_single(first) || !is_single(last)) return fail("has a range between classes");
      if (last[0].first < first[0].first) return fail("has a range with its ends out of order");
      set.push_back({first[0].first, last[0].first});
    }
    return of_set(negated ? complement(set) : set);
  }

  static bool is_single(const CodePointSet& set) {
    return set.size() == 1 && set[0].first == set[0].last;
  }

  Result<CodePointSet> class_atom() {
    if (done()) return fail("lacks a ']'");
    if (take("\\")) return escape(true);
    return single(text::next_code_point(pattern_, position_));
  }

  // What follows a backslash.
  Result<CodePointSet> escape(bool in_class) {
    if (done()) return fail("ends with a backslash");
    const char c = pattern_[position_];
    if (static_cast<uint8_t>(c) >= 0x80) return fail("escapes a character that needs no escape");
    ++position_;
    if (const std::optional<CodePointSet> set = named_class(c)) return *set;
    if (const std::optional<char32_t> control = named_control(c)) return single(*control);
    if (c == 'b' && in_class) return single('\b');
    if (c == 'x') return code_unit(2);
    if (c == 'u') return unicode_escape();
    if (c == 'c') return control_escape();
    if (const char* name = name_if_unsupported(c)) return unsupported(name);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
      return fail(str_cat("has an unknown escape \\", std::string(1, c)));
    return single(static_cast<char32_t>(c));
  }

  static CodePointSet single(char32_t c) { return {{c, c}}; }

  static std::optional<CodePointSet> named_class(char c) {
    if (c == 'd') return kDigits;
    if (c == 'w') return kWord;
    if (c == 's') return kSpaces;
    if (c == 'D') return complement(kDigits);
    if (c == 'W') return complement(kWord);
    if (c == 'S') return complement(kSpaces);
    return std::nullopt;
  }

  static std::optional<char32_t> named_control(char c) {
    constexpr std::string_view kNames = "tnvfr0";
    constexpr std::string_view kValues("\t\n\v\f\r\0", kNames.size());
    const size_t place = kNames.find(c);
    if (place == std::string_view::npos) return std::nullopt;
    return static_cast<char32_t>(kValues[place]);
  }

  // Of escapes that ECMA-262 has and we do not, or nothing.
  static const char* name_if_unsupported(char c) {
    if (c == 'b') return "the word boundary \\b";
    if (c == 'B') return "the word boundary \\B";
    if (c == 'p' || c == 'P') return "a Unicode property (\\p)";
    if (c == 'k' || (c >= '1' && c <= '9')) return "a back reference";
    return nullptr;
  }

  Result<CodePointSet> control_escape() {
    const char c = static_cast<char>(peek() | 0x20);
    if (c < 'a' || c > 'z') return fail("has a \\c without a letter");
    ++position_;
    return single(static_cast<char32_t>(c - 'a' + 1));
  }

  Result<CodePointSet> code_unit(size_t digits) {
    uint32_t value = 0;
    const char* begin = pattern_.data() + position_;
    const char* limit = begin + std::min(digits, pattern_.size() - position_);
    const auto [end, error] = std::from_chars(begin, limit, value, 16);
    if (error != std::errc() || end != begin + digits)
      return fail("has an escape without its hexadecimal digits");
    position_ += digits;
    return single(value);
  }

  Result<CodePointSet> unicode_escape() {
    if (take("{")) {
      const size_t end = pattern_.find('}', position_);
      if (end == std::string_view::npos || end == position_ || end - position_ > 8)
        return fail("has a wrong \\u{ }");
      G4_ASSIGN_OR_RETURN(CodePointSet set, code_unit(end - position_));
      if (set[0].first > kLastCodePoint) return fail("has a code point beyond U+10FFFF");
      ++position_;
      return set;
    }
    G4_ASSIGN_OR_RETURN(CodePointSet high, code_unit(4));
    const char32_t lead = high[0].first;
    if (lead < 0xD800 || lead > 0xDBFF || !take("\\u")) return high;
    G4_ASSIGN_OR_RETURN(const CodePointSet low, code_unit(4));
    const char32_t trail = low[0].first;
    if (trail < 0xDC00 || trail > 0xDFFF) return fail("has half a surrogate pair");
    return single(0x10000 + ((lead & 0x3FF) << 10 | (trail & 0x3FF)));
  }

  const std::string_view pattern_;
  const RegexMode mode_;
  size_t position_ = 0;
};

Result<Dfa> texts_without_lookahead(const Expression& expression, RegexMode mode, size_t& work) {
  Nfa nfa;
  const int start = nfa.add_state();
  const int final = nfa.add_state();
  int from = start;
  if (mode == RegexMode::kSearch) {
    // Anything may come first. `^` asks about the text, not about this automaton's start.
    nfa.code_point(start, normalised({{0, kLastCodePoint}}), start);
    from = nfa.add_state();
    nfa.jump(start, from);
  }
  append_expression(expression, from, final, nfa);
  return nfa.determinise(start, final, mode == RegexMode::kSearch, work);
}

// Lookaheads at the begin of the text ask for another expression that matches there: its texts are
// an automaton of their own.
Result<Dfa> texts_of_sequence(const Expression& sequence, RegexMode mode, size_t& work) {
  const Expression begin{.kind = Expression::Kind::kBegin};
  Expression rest{.kind = Expression::Kind::kSequence, .children = {begin}};
  for (const Expression& child : sequence.children)
    if (!is_lookahead(child)) rest.children.push_back(child);
  G4_ASSIGN_OR_RETURN(Dfa result, texts_without_lookahead(rest, mode, work));
  for (const Expression& child : sequence.children) {
    if (!is_lookahead(child)) continue;
    const Expression there{.kind = Expression::Kind::kSequence,
                           .children = {begin, child.children[0]}};
    G4_ASSIGN_OR_RETURN(const Dfa ahead, texts_without_lookahead(there, RegexMode::kSearch, work));
    const bool wanted = child.kind == Expression::Kind::kAhead;
    G4_ASSIGN_OR_RETURN(result,
                        combine(result, ahead, wanted ? SetOperation::kAnd : SetOperation::kMinus,
                                kMaxDfaStates, work));
  }
  return result;
}

bool has_lookahead(const Expression& e) {
  return e.kind == Expression::Kind::kSequence
             ? std::any_of(e.children.begin(), e.children.end(), is_lookahead)
             : e.kind == Expression::Kind::kAlternatives &&
                   std::any_of(e.children.begin(), e.children.end(), has_lookahead);
}

// The parser takes lookaheads only at the begin of the whole or of its alternatives.
Result<Dfa> texts_of(const Expression& expression, RegexMode mode, size_t& work) {
  if (!has_lookahead(expression)) return texts_without_lookahead(expression, mode, work);
  if (expression.kind == Expression::Kind::kSequence)
    return texts_of_sequence(expression, mode, work);
  Dfa result;
  for (const Expression& branch : expression.children) {
    G4_ASSIGN_OR_RETURN(const Dfa texts, texts_of(branch, mode, work));
    G4_ASSIGN_OR_RETURN(result, combine(result, texts, SetOperation::kOr, kMaxDfaStates, work));
  }
  return result;
}

}  // namespace

Result<Dfa> compile_regex(std::string_view pattern, RegexMode mode) {
  size_t work = Nfa::kMaxWork;
  return compile_regex(pattern, mode, work);
}

Result<Dfa> compile_regex(std::string_view pattern, RegexMode mode, size_t& work) {
  G4_ASSIGN_OR_RETURN(const Expression expression, RegexParser(pattern, mode).parse());
  Result<Dfa> dfa = texts_of(expression, mode, work);
  if (!dfa.ok()) return dfa.error().with_context("the regular expression");
  return dfa;
}

Result<std::optional<RepeatedSet>> repeated_set(std::string_view pattern) {
  G4_ASSIGN_OR_RETURN(Expression whole, RegexParser(pattern, RegexMode::kSearch).parse());
  auto& parts = whole.children;
  if (whole.kind != Expression::Kind::kSequence || parts.size() != 3 || !is_begin(parts[0]) ||
      parts[1].kind != Expression::Kind::kRepeat || parts[2].kind != Expression::Kind::kEnd ||
      parts[1].children[0].kind != Expression::Kind::kSet)
    return std::optional<RepeatedSet>();
  return std::optional(
      RepeatedSet{std::move(parts[1].children[0].set), parts[1].min, parts[1].max});
}

}  // namespace gemma4::constrain
