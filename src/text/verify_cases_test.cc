#include "text/verify_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/testing.h"

namespace gemma4::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(VerifyCasesTest, CountsAndDescribes) {
  const auto report = verify_tokenizer_cases(testing::small_tokenizer(), R"({
    "encode": [{"text": "<bos>", "ids": [2]},
               {"text": "<eos>", "ids": [7], "ids_gemma4": [1]},
               {"text": "<pad>", "ids": [1]}],
    "decode": [{"ids": [2], "hf_decode": "<bos>", "hf_decode_skip_special": "", "stream_text": "<bos>"},
               {"ids": [202, 176], "hf_decode": "é", "hf_decode_skip_special": "é",
                "stream_pieces": ["", "é"], "stream_text": "é"},
               {"ids": [202, 176], "hf_decode": "é", "hf_decode_skip_special": "é",
                "stream_pieces": ["é", ""], "stream_text": "é"}]})");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().encode_passed, 2);
  EXPECT_EQ(report.value().encode_failed, 1);
  EXPECT_EQ(report.value().decode_passed, 2);
  EXPECT_EQ(report.value().decode_failed, 1);
  EXPECT_FALSE(report.value().ok());
  EXPECT_THAT(
      report.value().failures,
      ElementsAre("encode[2], encoding of \"<pad>\": expected [1], found [0]",
                  "decode[2], pieces of streaming: expected [\"é\" \"\"], found [\"\" \"é\"]"));
}

TEST(VerifyCasesTest, OtherVocabulariesAreHeldToTheirOwnIds) {
  std::string json = testing::small_tokenizer_json();
  for (size_t at; (at = json.find("<|turn>\"")) != std::string::npos;)
    json.replace(at, 7, "<other>");
  const auto tokenizer = Tokenizer::from_json(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const auto report = verify_tokenizer_cases(tokenizer.value(), R"({
    "encode": [{"text": "<eos>", "ids": [1], "ids_gemma4": [7]}], "decode": [{}]})");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report.value().encode_passed, 1);
  EXPECT_EQ(report.value().decode_skipped, 1);
}

TEST(VerifyCasesTest, NamesWhatIsMissing) {
  const auto error = [](std::string_view cases) {
    return verify_tokenizer_cases(testing::small_tokenizer(), cases).error().message;
  };
  EXPECT_THAT(error("{"), HasSubstr("the cases: "));
  EXPECT_THAT(error("{}"), HasSubstr("an array \"encode\""));
  EXPECT_EQ(error(R"({"encode": [{"text": "a", "ids": [0, -1]}]})"),
            "encode[0].ids: expected an array of ids");
  EXPECT_EQ(error(R"({"encode": [{"ids": []}]})"), "encode[0].text: expected a string");
}

}  // namespace
}  // namespace gemma4::text
