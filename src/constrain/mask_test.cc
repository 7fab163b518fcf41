// Masks against trying each token by itself, above all where lengths begin to matter: a count, a
// run of states or the longest token ends.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "constrain/ebnf.h"
#include "constrain/matcher.h"
#include "constrain/schema_grammar.h"
#include "constrain/testing.h"
#include "text/testing.h"

namespace gemma4::constrain {
namespace {

using text::TokenId;
using Vocabulary = std::shared_ptr<const VocabularyIndex>;

// The bytes, and `tokens` with all that they begin with.
Vocabulary vocabulary_of(const std::vector<std::string>& tokens) {
  text::testing::Merges merges;
  std::set<std::string> known;
  for (const std::string& token : tokens) {
    size_t end = 0;
    text::next_code_point(token, end);
    while (end < token.size()) {
      const size_t begin = end;
      text::next_code_point(token, end);
      if (known.insert(token.substr(0, end)).second)
        merges.emplace_back(token.substr(0, begin), token.substr(begin, end - begin));
    }
  }
  return VocabularyIndex::build(
      text::Tokenizer::from_json(text::testing::tokenizer_json(merges)).value());
}

const Vocabulary& short_tokens() {
  static const Vocabulary kIndex =
      vocabulary_of({"abcde",    "é日😀a\"", "x\u2028y", "\u2029", "\\n\\\"a", "\\ud83d\\ude00",
                     "\\u001fa", "\",",     "a\"}",     "aa\n",   "aaabba",   " a ",
                     "a.b.c",    ".a-b",    "a@b.c",    "-a-",    "é\"",      "\u00A0a",
                     "12345",    "://a/",   "%41a",     "aकé",    "퀀ퟓ",     "a",
                     "😁a",       "日本語",  "😀😀",       "a\\\\"});
  return kIndex;
}

// Many are long, some have more code points than those that are known by their number.
const Vocabulary& long_tokens() {
  static const Vocabulary kIndex = [] {
    std::vector<std::string> tokens = {std::string(40, 'a') + '"',
                                       std::string(35, ' ') + "a",
                                       "日日日日\"",
                                       "a\\n",
                                       "aaaa.aaaa",
                                       "aa-aa",
                                       "é\"",
                                       "a@b"};
    for (char c = 'b'; c <= 'z'; ++c) tokens.push_back(std::string(24, 'a') + c);
    return vocabulary_of(tokens);
  }();
  return kIndex;
}

bool bit(std::span<const uint32_t> bits, TokenId id) {
  return (bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

std::shared_ptr<const CompiledGrammar> of_schema(std::string_view schema) {
  return std::make_shared<CompiledGrammar>(
      grammar_of_schema(json::parse(schema).value(), {}).value());
}

std::vector<uint32_t> mask_behind(const std::shared_ptr<const CompiledGrammar>& grammar,
                                  const Vocabulary& vocabulary, std::string_view text) {
  Matcher matcher(grammar, vocabulary);
  EXPECT_TRUE(matcher.accept_bytes(text));
  std::vector<uint32_t> bits(vocabulary->num_words());
  matcher.allowed(bits);
  return bits;
}

// False if `text` is no beginning of a text of the grammar.
bool compare_with_naive(const std::shared_ptr<const CompiledGrammar>& grammar,
                        const Vocabulary& vocabulary, std::string_view text) {
  NaiveMatcher naive(grammar->grammar());
  if (!naive.accept_bytes(text)) return false;
  const std::vector<uint32_t> bits = mask_behind(grammar, vocabulary, text);
  for (TokenId id = 0; id < vocabulary->size(); ++id) {
    const std::string_view bytes = vocabulary->bytes(id);
    EXPECT_EQ(bit(bits, id), !bytes.empty() && NaiveMatcher(naive).accept_bytes(bytes))
        << text << " then '" << bytes << "'";
  }
  return true;
}

// The same for many tokens: with tables, but without anything that knows of texts or counts.
void compare_with_steps(const std::shared_ptr<const CompiledGrammar>& grammar,
                        const Vocabulary& vocabulary, std::string_view text) {
  Explorer explorer(grammar->grammar());
  const auto walk = [&](ConfigId config, std::string_view bytes) {
    for (const char c : bytes) config = explorer.step(config, static_cast<uint8_t>(c));
    return config;
  };
  const ConfigId config = walk(explorer.start(), text);
  if (config == kDeadConfig) return;
  const std::vector<uint32_t> bits = mask_behind(grammar, vocabulary, text);
  for (TokenId id = 0; id < vocabulary->size(); ++id) {
    const std::string_view bytes = vocabulary->bytes(id);
    ASSERT_EQ(bit(bits, id), !bytes.empty() && walk(config, bytes) != kDeadConfig)
        << text << " then '" << bytes << "'";
  }
  EXPECT_FALSE(explorer.over_budget());
}

constexpr std::string_view kSchemas[] = {
    R"({"type":"string","maxLength":20})",
    R"({"type":"string","minLength":15})",
    R"({"type":"string","minLength":9,"maxLength":45})",
    R"({"type":"string","pattern":"^.{3,18}$"})",
    R"({"type":"string","pattern":"^.*$","maxLength":44})",
    R"({"type":"string","pattern":"^[\\w .-]*$","minLength":12,"maxLength":17})",
    R"({"type":"string","pattern":"^[^@]+$","maxLength":14})",
    R"({"type":"string","pattern":"\\S","maxLength":11})",
    R"({"type":"string","pattern":"^[^कퟓ😁]*$","maxLength":13})",
    R"({"type":"string","pattern":"^([a-z]{1,9}[.@-])*a$","minLength":8,"maxLength":30})",
    R"({"type":"string","format":"email","maxLength":20})",
    R"({"type":"string","format":"hostname"})",
    R"({"type":"string","format":"iri","maxLength":16})",
    R"({"type":"string","format":"uuid"})",
    R"({"anyOf":[{"type":"string","maxLength":12},
       {"type":"string","pattern":"^a*$","minLength":10,"maxLength":24}]})",
    R"({"type":"number"})",
};

TEST(Mask, AtEveryLength) {
  for (const std::string_view schema : kSchemas)
    for (const Vocabulary& vocabulary : {short_tokens(), long_tokens()})
      for (const std::string_view part : {"a", "日", "\\n", "a.", "1"}) {
        SCOPED_TRACE(str_cat(schema, " ", part));
        const auto grammar = of_schema(schema);
        std::string text = schema.find("number") != std::string_view::npos ? "" : "\"";
        while (text.size() < 70 && compare_with_naive(grammar, vocabulary, text)) text += part;
        if (HasFailure()) return;
      }
}

TEST(Mask, InsideOfCodePointsAndEscapes) {
  for (const std::string_view schema : kSchemas)
    for (const std::string_view part : {"\xE2", "\xE2\x80", "\xF0", "\xF0\x9F\x98", "\xED", "\\",
                                        "\\u", "\\u00", "\\ud83d", "\\ud83d\\", "\\ud83d\\ude0"})
      for (const std::string_view before : {"\"", "\"aaaaaaaaa", "\"aaaaaaaaaaaaaaaaa"}) {
        SCOPED_TRACE(schema);
        compare_with_naive(of_schema(schema), short_tokens(), str_cat(before, part));
        if (HasFailure()) return;
      }
}

TEST(Mask, OfTextWithoutCounters) {
  for (const char* source :
       {"root ::= [^x]{2,9} \"x\"", "root ::= ([a-z]{0,3} \".\")* [0-9]", "root ::= (. .)* \"z\"",
        "root ::= (\"a\" | \"b\" [ab] \"x\")* \"z\"", "root ::= [a-c]* | [b-d]* \"é\"",
        "root ::= \"a\"{7} [^]? | [^a] root"}) {
    const auto grammar = std::make_shared<CompiledGrammar>(grammar_of_ebnf(source).value());
    for (const Vocabulary& vocabulary : {short_tokens(), long_tokens()})
      for (const std::string_view part : {"a", "b", "é", "."}) {
        SCOPED_TRACE(str_cat(source, " ", part));
        std::string text;
        while (text.size() < 14 && compare_with_naive(grammar, vocabulary, text)) text += part;
        if (HasFailure()) return;
      }
  }
}

TEST(Mask, OfTheRealVocabulary) {
  const auto tokenizer = text::Tokenizer::load(std::string(GEMMA4_SOURCE_DIR) +
                                               "/build/cache/vocabulary/tokenizer.json");
  if (!tokenizer.ok())
    GTEST_SKIP() << "the real vocabulary is missing; scripts/fetch_vocabulary.sh fetches it";
  const Vocabulary vocabulary = VocabularyIndex::build(tokenizer.value());
  for (const std::string_view schema :
       {R"({"type":"string","minLength":34,"maxLength":80})", R"({"type":"string","maxLength":30})",
        R"({"type":"string","pattern":"^[^<>]*$","maxLength":40})",
        R"({"type":"string","pattern":"^.{1,60}$"})",
        R"({"type":"string","pattern":"^[\\w -]{1,50}$"})",
        R"({"type":"string","format":"email","maxLength":40})",
        R"({"type":"string","format":"hostname"})",
        R"({"type":"string","format":"uri","maxLength":70})"}) {
    const auto grammar = of_schema(schema);
    for (const std::string_view start : {"", "a@", "http://a.", "a\\u00"})
      for (const size_t count : {0, 1, 2, 3, 15, 18, 28, 29, 30, 31, 48, 49, 50, 79, 80}) {
        SCOPED_TRACE(str_cat(schema, " ", count));
        compare_with_steps(grammar, vocabulary, str_cat("\"", start, std::string(count, 'a')));
        if (HasFailure()) return;
      }
  }
}

}  // namespace
}  // namespace gemma4::constrain
