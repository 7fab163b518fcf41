#include "text/letter_case.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "text/utf8.h"

namespace gemma4::text {
namespace {

// Every `step`th code point from `first` to `last` is mapped by adding `distance`.
struct CaseRange {
  char32_t first, last;
  int32_t step, distance;
};
struct FullMapping {
  char32_t from, to[3];
};
struct CodePointRange {
  char32_t first, last;
};

#include "text/letter_case_tables.inc"

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;

// The entry of a sorted table that may hold `c`; null if all begin behind it.
template <typename Range>
const Range* entry_for(std::span<const Range> table, char32_t c) {
  const auto behind =
      std::upper_bound(table.begin(), table.end(), c,
                       [](char32_t value, const Range& r) { return value < r.first; });
  if (behind == table.begin() || std::prev(behind)->last < c) return nullptr;
  return &*std::prev(behind);
}

void append_utf8(char32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
    return;
  }
  if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      out += static_cast<char>(0xE0 | c >> 12);
    } else {
      out += static_cast<char>(0xF0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    }
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
  }
  out += static_cast<char>(0x80 | (c & 0x3F));
}

void append_mapped(char32_t c, std::span<const CaseRange> ranges, std::span<const FullMapping> full,
                   std::string& out) {
  const auto found =
      std::lower_bound(full.begin(), full.end(), c,
                       [](const FullMapping& m, char32_t value) { return m.from < value; });
  if (found != full.end() && found->from == c) {
    for (const char32_t to : found->to)
      if (to != 0) append_utf8(to, out);
    return;
  }
  const CaseRange* range = entry_for(ranges, c);
  const bool is_mapped =
      range != nullptr && (c - range->first) % static_cast<char32_t>(range->step) == 0;
  append_utf8(is_mapped ? c + static_cast<char32_t>(range->distance) : c, out);
}

// Unicode's Final_Sigma, section 3.13: what is cased before and after counts, whatever lies
// between.
enum class Neighbour { kCased, kUncased, kIgnorable };
Neighbour neighbour(char32_t c) {
  if (entry_for<CodePointRange>(kCasedRanges, c) != nullptr) return Neighbour::kCased;
  if (entry_for<CodePointRange>(kCaseIgnorableRanges, c) != nullptr) return Neighbour::kIgnorable;
  return Neighbour::kUncased;
}

bool is_cased_ahead(std::string_view text) {
  while (!text.empty()) {
    const Utf8Sequence sequence = next_sequence(text);
    if (sequence.kind != Utf8Sequence::Kind::kValid) return false;
    const Neighbour next = neighbour(sequence.code_point);
    if (next != Neighbour::kIgnorable) return next == Neighbour::kCased;
    text.remove_prefix(sequence.length);
  }
  return false;
}

enum class Case { kLower, kUpper };

std::string map_case(std::string_view text, Case to) {
  std::string out;
  out.reserve(text.size());
  bool follows_cased = false;  // whether the last character that is not ignorable was cased
  while (!text.empty()) {
    const Utf8Sequence sequence = next_sequence(text);
    const std::string_view bytes = text.substr(0, sequence.length);
    text.remove_prefix(sequence.length);
    if (sequence.kind != Utf8Sequence::Kind::kValid) {
      out += bytes;
      follows_cased = false;
      continue;
    }
    const char32_t c = sequence.code_point;
    if (to == Case::kUpper) {
      append_mapped(c, kUpperRanges, kUpperFull, out);
      continue;
    }
    if (c == kCapitalSigma && follows_cased && !is_cased_ahead(text)) {
      append_utf8(kFinalSigma, out);
    } else {
      append_mapped(c, kLowerRanges, kLowerFull, out);
    }
    const Neighbour kind = neighbour(c);
    if (kind != Neighbour::kIgnorable) follows_cased = kind == Neighbour::kCased;
  }
  return out;
}

}  // namespace

std::string to_lower(std::string_view text) { return map_case(text, Case::kLower); }
std::string to_upper(std::string_view text) { return map_case(text, Case::kUpper); }

}  // namespace gemma4::text
