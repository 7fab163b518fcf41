#include "constrain/numbers.h"

#include <charconv>
#include <compare>
#include <optional>

#include "constrain/nfa.h"
#include "constrain/regex.h"

namespace gemma4::constrain {
namespace {

constexpr int kMaxDigits = 1000;

bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

// Where in the text of a number one is.
enum class Part : uint8_t { kStart, kMinus, kWhole, kPoint, kFraction };

// Follows the syntax of a plain number; what else is remembered comes from its user.
struct Syntax {
  Part part = Part::kStart;
  bool negative = false;
  bool leading_zero = false;
  bool is_zero = true;
  auto operator<=>(const Syntax&) const = default;  // NOLINT(modernize-use-nullptr)

  bool may_end() const {
    return (part == Part::kWhole || part == Part::kFraction) && !(negative && is_zero);
  }
  std::optional<Syntax> step(uint8_t byte) const {
    Syntax next = *this;
    if (byte == '-' && part == Part::kStart) {
      next.part = Part::kMinus;
      next.negative = true;
    } else if (byte == '.' && part == Part::kWhole) {
      next.part = Part::kPoint;
    } else if (is_digit(byte) && !(part == Part::kWhole && leading_zero)) {
      next.leading_zero = byte == '0' && part < Part::kWhole;
      next.is_zero = is_zero && byte == '0';
      next.part = part >= Part::kPoint ? Part::kFraction : Part::kWhole;
    } else {
      return std::nullopt;
    }
    return next;
  }
};

// How the magnitude read so far compares with a bound, digit by digit.
struct Comparing {
  Syntax syntax;
  int digits = 0;  // of this part, as far as they matter
  int order = 0;
  auto operator<=>(const Comparing&) const = default;  // NOLINT(modernize-use-nullptr)
};

int sign_of(int value) { return (value > 0) - (value < 0); }

class Comparer {
 public:
  Comparer(Comparison comparison, const Decimal& bound) : comparison_(comparison), bound_(bound) {}

  std::optional<Comparing> step(const Comparing& from, uint8_t byte) const {
    const std::optional<Syntax> syntax = from.syntax.step(byte);
    if (!syntax) return std::nullopt;
    Comparing next = from;
    next.syntax = *syntax;
    if (byte == '.') {
      next.order = order_of_whole(from);
      next.digits = 0;
    } else if (is_digit(byte)) {
      const bool whole = syntax->part == Part::kWhole;
      const std::string& expected = whole ? bound_.whole : bound_.fraction;
      const int count = static_cast<int>(expected.size());
      const int digit = from.digits < count ? expected[from.digits] : (whole ? byte : '0');
      if (from.order == 0) next.order = sign_of(byte - digit);
      next.digits = std::min(from.digits + 1, whole ? count + 1 : count);
      if (!whole && next.order != 0) next.digits = 0;
    }
    return next;
  }

  bool accepts(const Comparing& state) const {
    if (!state.syntax.may_end()) return false;
    int order = state.order;
    if (state.syntax.part == Part::kWhole) {
      order = order_of_whole(state);
      if (order == 0 && !bound_.fraction.empty()) order = -1;
    } else if (order == 0 && state.digits < static_cast<int>(bound_.fraction.size())) {
      order = -1;
    }
    if (state.syntax.negative != bound_.negative) {
      order = state.syntax.negative ? -1 : 1;
    } else if (state.syntax.negative) {
      order = -order;
    }
    switch (comparison_) {
      case Comparison::kAtLeast:
        return order >= 0;
      case Comparison::kAbove:
        return order > 0;
      case Comparison::kAtMost:
        return order <= 0;
      case Comparison::kBelow:
        return order < 0;
    }
    return false;
  }

 private:
  int order_of_whole(const Comparing& state) const {
    const int longer = state.digits - static_cast<int>(bound_.whole.size());
    return longer != 0 ? sign_of(longer) : state.order;
  }

  const Comparison comparison_;
  const Decimal& bound_;
};

struct Dividing {
  Syntax syntax;
  int64_t remainder = 0;
  int places = 0;                                     // digits behind the point
  auto operator<=>(const Dividing&) const = default;  // NOLINT(modernize-use-nullptr)
};

}  // namespace

Result<Decimal> to_decimal(const json::Number& number) {
  std::string_view text = number.text;
  Decimal result;
  if (text.starts_with('-')) {
    result.negative = true;
    text.remove_prefix(1);
  }
  int64_t exponent = 0;
  if (const size_t e = text.find_first_of("eE"); e != text.npos) {
    std::string_view digits = text.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (error != std::errc()) exponent = kMaxDigits + 1;
    text = text.substr(0, e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  if (point < text.size()) digits += text.substr(point + 1);
  if (exponent < -kMaxDigits || exponent > kMaxDigits || digits.size() > kMaxDigits)
    return Error{ErrorCode::kResourceExhausted, "a number with more than 1,000 digits"};
  int64_t whole = static_cast<int64_t>(point) + exponent;
  if (whole < 0) {
    digits.insert(0, static_cast<size_t>(-whole), '0');
    whole = 0;
  }
  if (whole > static_cast<int64_t>(digits.size())) digits.resize(static_cast<size_t>(whole), '0');
  result.whole = digits.substr(0, static_cast<size_t>(whole));
  result.fraction = digits.substr(static_cast<size_t>(whole));
  result.whole.erase(0, std::min(result.whole.find_first_not_of('0'), result.whole.size()));
  if (result.whole.empty()) result.whole = "0";
  result.fraction.erase(result.fraction.find_last_not_of('0') + 1);
  if (result.whole == "0" && result.fraction.empty()) result.negative = false;
  return result;
}

const Dfa& plain_numbers() {
  static const Dfa* const kNumbers = [] {
    size_t work = kMaxDfaWork;
    return new Dfa(explore(
                       Syntax(), [](const Syntax& s, uint8_t byte) { return s.step(byte); },
                       [](const Syntax& s) { return s.may_end(); }, kMaxDfaStates, work)
                       .value());
  }();
  return *kNumbers;
}

const Dfa& integers() {
  static const Dfa* const kIntegers = [] {
    size_t work = kMaxDfaWork;
    return new Dfa(multiples_of(Decimal{.whole = "1"}, work).value());
  }();
  return *kIntegers;
}

Result<Dfa> numbers_compared(Comparison comparison, const Decimal& bound, size_t& work) {
  const Comparer comparer(comparison, bound);
  return explore(
      Comparing(), [&](const Comparing& s, uint8_t byte) { return comparer.step(s, byte); },
      [&](const Comparing& s) { return comparer.accepts(s); }, kMaxDfaStates, work);
}

Result<Dfa> numbers_equal_to(const std::vector<Decimal>& values, size_t& work) {
  Nfa nfa;
  const int start = nfa.add_state();
  const int final = nfa.add_state();
  const int zeros = nfa.add_state();  // behind the last digit that counts, and the point
  const int one_zero = nfa.add_state();
  nfa.edge(zeros, '0', '0', one_zero);
  nfa.jump(one_zero, zeros);
  nfa.jump(one_zero, final);
  const auto append = [&](int from, std::string_view text) {
    for (const char c : text) {
      const int next = nfa.add_state();
      nfa.edge(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c), next);
      from = next;
    }
    return from;
  };
  for (const Decimal& value : values) {
    int end = append(append(start, value.negative ? "-" : ""), value.whole);
    if (!value.fraction.empty()) end = append(append(end, "."), value.fraction);
    nfa.jump(end, final);
    nfa.jump(value.fraction.empty() ? append(end, ".") : end, zeros);
    if (nfa.too_large()) break;  // determinise() says so
  }
  return nfa.determinise(start, final, false, work);
}

// Numbers of which 10^places times them is a multiple of `modulus`.
static Result<Dfa> scaled_multiples_of(int64_t modulus, int places, size_t& work) {
  if (modulus * (places + 2) > static_cast<int64_t>(kMaxDfaStates))
    return Error{ErrorCode::kResourceExhausted, "needs too large an automaton"};
  const auto step = [&](const Dividing& from, uint8_t byte) -> std::optional<Dividing> {
    const std::optional<Syntax> syntax = from.syntax.step(byte);
    if (!syntax) return std::nullopt;
    Dividing next = from;
    next.syntax = *syntax;
    if (!is_digit(byte)) return next;
    if (syntax->part == Part::kFraction) {
      if (from.places == places) return byte == '0' ? std::optional(next) : std::nullopt;
      ++next.places;
    }
    next.remainder = (from.remainder * 10 + (byte - '0')) % modulus;
    return next;
  };
  const auto accepts = [&](const Dividing& state) {
    int64_t remainder = state.remainder;
    for (int i = state.places; i < places; ++i) remainder = remainder * 10 % modulus;
    return state.syntax.may_end() && remainder == 0;
  };
  return explore(Dividing(), step, accepts, 8 * kMaxDfaStates, work);
}

// The factor that only has to do with the last digits is looked at apart: the automata add up where
// they would multiply.
Result<Dfa> multiples_of(const Decimal& divisor, size_t& work) {
  const std::string digits = divisor.whole + divisor.fraction;
  const int places = static_cast<int>(divisor.fraction.size());
  const size_t zeros = std::min(digits.find_first_not_of('0'), digits.size());
  if (digits.size() - zeros > 9) return Error{ErrorCode::kResourceExhausted, "has too many digits"};
  int64_t others = 0;
  std::from_chars(digits.data() + zeros, digits.data() + digits.size(), others);
  int64_t of_last_digits = 1;
  for (const int64_t prime : {2, 5})
    for (; others != 0 && others % prime == 0; others /= prime) of_last_digits *= prime;
  G4_ASSIGN_OR_RETURN(Dfa result, scaled_multiples_of(of_last_digits, places, work));
  if (others == 1) return result;
  G4_ASSIGN_OR_RETURN(const Dfa rest, scaled_multiples_of(others, places, work));
  return combine(result, rest, SetOperation::kAnd, 8 * kMaxDfaStates, work);
}

Dfa for_writing(const Dfa& numbers) {
  static const Dfa* const kShort =
      new Dfa(compile_regex("-?(0|[1-9][0-9]*)", RegexMode::kWhole).value());
  const auto others = combine(numbers, integers(), SetOperation::kMinus, kMaxDfaStates);
  if (!others.ok() || !others.value().empty()) return numbers;
  auto written = combine(numbers, *kShort, SetOperation::kAnd, kMaxDfaStates);
  return written.ok() ? std::move(written).value() : numbers;
}

}  // namespace gemma4::constrain
