#include "text/verify_cases.h"

#include <simdjson.h>

#include <utility>

#include "base/strings.h"
#include "text/detokenizer.h"

namespace gemma4::text {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kMaxFailures = 10;
constexpr size_t kMaxShownIds = 16;

// The members of a case; an Error names what is missing.
class Case {
 public:
  Case(dom::element element, std::string name) : element_(element), name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  bool has(std::string_view key) const { return !element_[key].error(); }

  Result<std::string_view> text(std::string_view key) const {
    std::string_view value;
    if (element_[key].get(value)) return bad(key, "a string");
    return value;
  }
  Result<std::vector<TokenId>> ids(std::string_view key) const {
    dom::array array;
    if (element_[key].get(array)) return bad(key, "an array of ids");
    std::vector<TokenId> ids;
    for (const dom::element element : array) {
      int64_t id = 0;
      if (element.get(id) || id < 0 || id > INT32_MAX) return bad(key, "an array of ids");
      ids.push_back(static_cast<TokenId>(id));
    }
    return ids;
  }
  Result<std::vector<std::string>> texts(std::string_view key) const {
    dom::array array;
    if (element_[key].get(array)) return bad(key, "an array of strings");
    std::vector<std::string> texts;
    for (const dom::element element : array) {
      std::string_view value;
      if (element.get(value)) return bad(key, "an array of strings");
      texts.emplace_back(value);
    }
    return texts;
  }

 private:
  Error bad(std::string_view key, std::string_view expected) const {
    return {ErrorCode::kInvalidData, str_cat(name_, ".", key, ": expected ", expected)};
  }
  dom::element element_;
  std::string name_;
};

std::string show(const std::vector<TokenId>& ids) {
  std::string out = "[";
  for (size_t i = 0; i < ids.size() && i < kMaxShownIds; ++i)
    out += str_cat(i == 0 ? "" : " ", ids[i]);
  return out + (ids.size() > kMaxShownIds ? " …]" : "]");
}
std::string show(std::string_view text) { return quote(text); }
std::string show(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (size_t i = 0; i < texts.size() && i < kMaxShownIds; ++i)
    out += (i == 0 ? "" : " ") + quote(texts[i]);
  return out + (texts.size() > kMaxShownIds ? " …]" : "]");
}

// Collects what differs in one case.
class Comparison {
 public:
  template <typename Expected, typename Found>
  void check(std::string_view what, const Expected& expected, const Found& found) {
    if (expected == found || !difference_.empty()) return;
    difference_ = str_cat(what, ": expected ", show(expected), ", found ", show(found));
  }
  // Empty when all was equal.
  const std::string& difference() const { return difference_; }

 private:
  std::string difference_;
};

void count(const std::string& name, const std::string& difference, int& passed, int& failed,
           VerifyReport& report) {
  ++(difference.empty() ? passed : failed);
  if (!difference.empty() && report.failures.size() < kMaxFailures)
    report.failures.push_back(str_cat(name, ", ", difference));
}

Status run_encode(const Tokenizer& tokenizer, bool is_gemma4, const Case& test,
                  VerifyReport& report) {
  G4_ASSIGN_OR_RETURN(const std::string_view text, test.text("text"));
  const bool differs = is_gemma4 && test.has("ids_gemma4");
  G4_ASSIGN_OR_RETURN(const std::vector<TokenId> expected,
                      test.ids(differs ? "ids_gemma4" : "ids"));
  Comparison comparison;
  comparison.check("encoding of " + quote(text), expected, tokenizer.encode(text));
  count(test.name(), comparison.difference(), report.encode_passed, report.encode_failed, report);
  return {};
}

Status run_decode(const Tokenizer& tokenizer, const Case& test, VerifyReport& report) {
  G4_ASSIGN_OR_RETURN(const std::vector<TokenId> ids, test.ids("ids"));
  G4_ASSIGN_OR_RETURN(const std::string_view whole, test.text("hf_decode"));
  G4_ASSIGN_OR_RETURN(const std::string_view skipped, test.text("hf_decode_skip_special"));
  G4_ASSIGN_OR_RETURN(const std::string_view streamed, test.text("stream_text"));
  Detokenizer detokenizer(tokenizer);
  std::vector<std::string> pieces;
  std::string all;
  for (const TokenId id : ids) all += pieces.emplace_back(detokenizer.push(id));
  all += detokenizer.finish();

  Comparison comparison;
  comparison.check("decoding", whole, tokenizer.decode(ids));
  comparison.check("decoding without special tokens", skipped,
                   tokenizer.decode(ids, SpecialTokens::kSkip));
  comparison.check("streaming", streamed, all);
  if (test.has("stream_pieces")) {
    G4_ASSIGN_OR_RETURN(const std::vector<std::string> expected, test.texts("stream_pieces"));
    comparison.check("pieces of streaming", expected, pieces);
  }
  count(test.name(), comparison.difference(), report.decode_passed, report.decode_failed, report);
  return {};
}

}  // namespace

Result<VerifyReport> verify_tokenizer_cases(const Tokenizer& tokenizer,
                                            std::string_view cases_json) {
  dom::parser parser;
  dom::element root;
  if (const auto code = parser.parse(cases_json.data(), cases_json.size()).get(root))
    return Error{ErrorCode::kInvalidData, str_cat("the cases: ", simdjson::error_message(code))};
  const bool is_gemma4 = tokenizer.added_token("<|turn>").has_value();
  VerifyReport report;
  for (const std::string_view section : {"encode", "decode"}) {
    dom::array cases;
    if (root[section].get(cases))
      return Error{ErrorCode::kInvalidData,
                   str_cat("the cases: expected an array ", quote(section))};
    int index = 0;
    for (const dom::element element : cases) {
      const Case test(element, str_cat(section, "[", index++, "]"));
      if (section == "encode") {
        G4_RETURN_IF_ERROR(run_encode(tokenizer, is_gemma4, test, report));
      } else if (is_gemma4) {
        G4_RETURN_IF_ERROR(run_decode(tokenizer, test, report));
      } else {
        ++report.decode_skipped;
      }
    }
  }
  return report;
}

}  // namespace gemma4::text
