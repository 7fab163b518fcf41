// The tokenizer with the real Gemma vocabularies, in both file formats, against published cases.
//
// The vocabularies are fetched by scripts/fetch_vocabulary.sh and are not part of the project.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <filesystem>
#include <random>
#include <sstream>

#include "base/strings.h"
#include "io/mapped_file.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "text/verify_cases.h"

namespace gemma4::text {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

const std::string kSource = GEMMA4_SOURCE_DIR;
const std::string kFolder = kSource + "/build/cache/vocabulary/";
const std::string kCases = kSource + "/tests/golden/spec/tokenizer-cases.json";
const std::string kGguf = kFolder + "ggml-vocab-gemma-4.gguf";

class VocabularyTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = kFolder + GetParam();
    if (!std::filesystem::exists(path))
      GTEST_SKIP() << path << " is missing; scripts/fetch_vocabulary.sh fetches it";
    Result<Tokenizer> tokenizer = Tokenizer::load(path);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::move(tokenizer).value();
  }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::optional<Tokenizer> tokenizer_;
};

class Gemma4VocabularyTest : public VocabularyTest {};

TEST_P(VocabularyTest, PassesAllCases) {
  const auto cases = io::read_file(kCases);
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  const auto report = verify_tokenizer_cases(tokenizer(), cases.value());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report.value().failures, ElementsAre());
  EXPECT_EQ(report.value().encode_passed, 312);
  EXPECT_EQ(report.value().decode_passed + report.value().decode_skipped, 22);
}

TEST_P(Gemma4VocabularyTest, KnowsTheControlTokens) {
  EXPECT_EQ(tokenizer().vocab_size(), 262144);
  const std::pair<TokenId, std::string_view> kControl[] = {{0, "<pad>"},
                                                           {1, "<eos>"},
                                                           {2, "<bos>"},
                                                           {3, "<unk>"},
                                                           {4, "<mask>"},
                                                           {46, "<|tool>"},
                                                           {47, "<tool|>"},
                                                           {48, "<|tool_call>"},
                                                           {49, "<tool_call|>"},
                                                           {50, "<|tool_response>"},
                                                           {51, "<tool_response|>"},
                                                           {52, "<|\"|>"},
                                                           {98, "<|think|>"},
                                                           {100, "<|channel>"},
                                                           {101, "<channel|>"},
                                                           {105, "<|turn>"},
                                                           {106, "<turn|>"},
                                                           {255999, "<|image>"},
                                                           {256000, "<|audio>"},
                                                           {258880, "<|image|>"},
                                                           {258881, "<|audio|>"},
                                                           {258882, "<image|>"},
                                                           {258883, "<audio|>"},
                                                           {258884, "<|video|>"}};
  int num_added = 0;
  for (TokenId id = 0; id < tokenizer().vocab_size(); ++id) num_added += tokenizer().is_added(id);
  EXPECT_EQ(num_added, static_cast<int>(std::size(kControl)));
  for (const auto& [id, content] : kControl) {
    EXPECT_EQ(tokenizer().added_token(content), id);
    EXPECT_TRUE(tokenizer().is_special(id)) << content;
    EXPECT_THAT(tokenizer().encode(content), ElementsAre(id));
  }
  EXPECT_EQ(tokenizer().piece(238), "<0x00>");
  EXPECT_EQ(tokenizer().byte_value(493), 255);
}

// The ids beside the vocabulary file: one line a text, texts separated by a line of their own.
TEST_P(Gemma4VocabularyTest, PassesThePublishedVectors) {
  const auto input = io::read_file(kGguf + ".inp");
  const auto output = io::read_file(kGguf + ".out");
  if (!input.ok() || !output.ok())
    GTEST_SKIP() << kGguf << ".inp or .out is missing; scripts/fetch_vocabulary.sh fetches them";
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::istringstream lines(output.value());
  std::string_view rest = input.value();
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const size_t end = std::min(rest.find(kSeparator), rest.size());
    std::istringstream numbers(line);
    const std::vector<TokenId> expected{std::istream_iterator<TokenId>(numbers), {}};
    EXPECT_THAT(tokenizer().encode(rest.substr(0, end)), ElementsAreArray(expected))
        << quote(rest.substr(0, end), 200);
    rest.remove_prefix(std::min(end + kSeparator.size(), rest.size()));
  }
  EXPECT_EQ(count, 46);
}

TEST_P(Gemma4VocabularyTest, CutsNothingThatTheDefinitionJoins) {
  std::mt19937 random(42);
  const auto& words = tokenizer();
  for (int i = 0; i < 3000; ++i) {
    // Strings of random tokens: every junction that can happen does, in time.
    std::string text;
    for (uint32_t length = random() % 12; length > 0; --length) {
      const auto id = static_cast<TokenId>(random() % static_cast<uint32_t>(words.vocab_size()));
      words.append_text(id, text);
      if (random() % 4 == 0) text += random() % 2 == 0 ? "\n" : " ";
      if (random() % 8 == 0) text += std::string(random() % 9, "> \n\t<"[random() % 5]);
    }
    ASSERT_EQ(words.encode(text), words.encode_reference(text)) << quote(text, 300);
  }
}

TEST_P(Gemma4VocabularyTest, TextComesBack) {
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes;
    for (uint32_t length = random() % 60; length > 0; --length) {
      if (random() % 4 == 0) {
        bytes += static_cast<char>(random());
      } else {
        tokenizer().append_text(static_cast<TokenId>(random() % 262144), bytes);
      }
    }
    std::string expected;
    append_repaired(bytes, expected);
    const std::vector<TokenId> ids = tokenizer().encode(bytes);
    ASSERT_EQ(tokenizer().decode(ids), expected);
    Detokenizer detokenizer(tokenizer());
    std::string streamed;
    for (const TokenId id : ids) streamed += detokenizer.push(id);
    ASSERT_EQ(streamed + detokenizer.finish(), expected);
  }
}

constexpr const char* kGemma4Files[] = {"tokenizer.json", "ggml-vocab-gemma-4.gguf"};
constexpr const char* kAllFiles[] = {"tokenizer.json", "ggml-vocab-gemma-4.gguf",
                                     "gemma-3/tokenizer.json"};

std::string test_name(const ::testing::TestParamInfo<const char*>& info) {
  const std::string_view path = info.param;
  return path.ends_with(".gguf") ? "Gguf" : path.starts_with("gemma-3") ? "Gemma3Json" : "Json";
}

INSTANTIATE_TEST_SUITE_P(Real, VocabularyTest, ::testing::ValuesIn(kAllFiles), test_name);
INSTANTIATE_TEST_SUITE_P(Real, Gemma4VocabularyTest, ::testing::ValuesIn(kGemma4Files), test_name);

}  // namespace
}  // namespace gemma4::text
