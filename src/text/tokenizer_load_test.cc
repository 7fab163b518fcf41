// Loading: both file formats, and what is refused with which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "io/gguf_testing.h"
#include "text/testing.h"
#include "text/tokenizer.h"

namespace gemma4::text {
namespace {

using io::testing::as_bytes;
using io::testing::GgufBuilder;
using ::testing::HasSubstr;

constexpr std::string_view kText = "<|turn>hello hello\n\n\n🦙日本語 > </ab Ω<turn|>";

std::string error_of(const Result<Tokenizer>& tokenizer) {
  return tokenizer.ok() ? "no error" : tokenizer.error().message;
}

// The small tokenizer.json with the first `from` replaced by `to`.
std::string edited(std::string_view from, std::string_view to) {
  std::string json = testing::small_tokenizer_json();
  const size_t at = json.find(from);
  G4_CHECK(at != std::string::npos);
  return json.replace(at, from.size(), to);
}

std::string refusal(std::string_view from, std::string_view to) {
  return error_of(Tokenizer::from_json(edited(from, to)));
}

TEST(TokenizerJsonTest, AcceptsWhatMeansTheSame) {
  const auto expected = testing::small_tokenizer().encode(kText);
  const auto same = [&](std::string_view from, std::string_view to) {
    const auto tokenizer = Tokenizer::from_json(edited(from, to));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    EXPECT_EQ(tokenizer.value().encode(kText), expected) << from;
  };
  same("{", " \n{ ");
  same(R"("ignore_merges":false,)", "");
  same(R"([["\u000a","\u000a"])", R"(["\u000a \u000a")");  // the older form of a merge
  same(R"({"type":"Replace","pattern":{"String":" "},"content":"▁"})",
       R"({"content": "\u2581", "type" : "Replace", "pattern": {"String": "\u0020"}})");
  same(R"("single":[{)", R"("single":[{"SpecialToken":{"id":"<bos>","type_id":0}},{)");  // Gemma 3
}

TEST(TokenizerJsonTest, RefusesOtherKindsOfTokenizerByField) {
  EXPECT_THAT(refusal(R"("normalizer":{"type":"Replace")", R"("normalizer":{"type":"NFC")"),
              HasSubstr("normalizer.type: expected \"Replace\", found \"NFC\""));
  EXPECT_THAT(refusal(R"("content":"▁"})", R"("content":"_"})"), HasSubstr("normalizer.content"));
  EXPECT_THAT(refusal(R"("behavior":"MergedWithPrevious")", R"("behavior":"Isolated")"),
              HasSubstr("pre_tokenizer.behavior"));
  EXPECT_THAT(
      refusal(R"("pattern":{"String":" "},"behavior")", R"("pattern":{"Regex":" "},"behavior")"),
      HasSubstr("pre_tokenizer.pattern.String"));
  EXPECT_THAT(refusal(R"({"type":"Fuse"})", R"({"type":"Strip"})"),
              HasSubstr("decoder.decoders[2].type"));
  EXPECT_THAT(refusal(R"(,{"type":"Fuse"})", ""), HasSubstr("decoder.decoders"));
  EXPECT_THAT(refusal(R"("truncation":null)", R"("truncation":{"max_length":5})"),
              HasSubstr("truncation"));
  EXPECT_THAT(refusal(R"("version":"1.0")", R"("version":"2.0")"),
              HasSubstr("version: expected \"1.0\""));
  EXPECT_THAT(refusal(R"("version")", R"("colour")"), HasSubstr("colour: expected no section"));
  EXPECT_THAT(refusal(R"("single":[)", R"("single":[{"SpecialToken":{"id":"<eos>","type_id":0}},)"),
              HasSubstr("post_processor.single"));
  for (const auto& [from, to] : std::initializer_list<std::pair<std::string, std::string>>{
           {R"("type":"BPE")", R"("type":"Unigram")"},
           {R"("dropout":null)", R"("dropout":0.1)"},
           {R"("byte_fallback":true)", R"("byte_fallback":false)"},
           {R"("ignore_merges":false)", R"("ignore_merges":true)"},
           {R"("fuse_unk":true)", R"("fuse_unk":{})"},
           {R"("dropout":null)", R"("cache":5)"}}) {
    const std::string field = "model." + to.substr(1, to.find('"', 1) - 1) + ": expected";
    EXPECT_THAT(refusal(from, to), HasSubstr(field));
  }
  EXPECT_THAT(refusal(R"("normalized":false)", R"("normalized":true)"),
              HasSubstr("added_tokens[0].normalized: expected false"));
  EXPECT_THAT(refusal(R"("byte_fallback":true,)", ""), HasSubstr("model.byte_fallback"));
  EXPECT_THAT(error_of(Tokenizer::from_json("{}")), HasSubstr("normalizer: expected this section"));
}

TEST(TokenizerJsonTest, RefusesDamagedVocabularies) {
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"<0x41>\":73"),
              HasSubstr("id 73 also belongs to \"<0x41>\""));
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"<0x41>\":100000"),
              HasSubstr("id 100000, expected ids 0 to "));
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"<0x41>\":-1"), HasSubstr("model.vocab[\"<0x41>\"]"));
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"<0x41>\":1.5"), HasSubstr("model.vocab[\"<0x41>\"]"));
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"<0x40>\":72"),
              HasSubstr("tokens 71 and 72 are both \"<0x40>\""));
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"<0x4_>\":72"), HasSubstr("lacks <0x41>"));
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"\\ud800\":72"), HasSubstr("model.vocab"));
  EXPECT_THAT(refusal("\"<0x41>\":72", "\"\xFF\":72"), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal(R"({"id":0,"content":"<pad>")", R"({"id":0,"content":"<pap>")"),
              HasSubstr("added token \"<pap>\" with id 0: the vocabulary has \"<pad>\" there"));
  EXPECT_THAT(refusal(R"({"id":0,"content":"<pad>")", R"({"id":0,"content":"")"),
              HasSubstr("is empty"));
  EXPECT_THAT(refusal(R"({"id":0,"content":"<pad>")", R"({"id":9999,"content":"<pad>")"),
              HasSubstr("with id 9999"));
  EXPECT_THAT(refusal(R"({"id":0,"content":"<pad>")", R"({"id":1,"content":"<eos>")"),
              HasSubstr("taken twice"));
  EXPECT_THAT(refusal(R"({"id":0,"content":"<pad>")", R"({"id":4294967296,"content":"<pad>")"),
              HasSubstr("below 2^31"));
}

TEST(TokenizerJsonTest, RefusesDamagedMerges) {
  EXPECT_THAT(refusal(R"(["h","e"])", R"(["h","Ω"])"),
              HasSubstr("merge 9 (\"h\", \"Ω\"): \"Ω\" is not in"));
  EXPECT_THAT(refusal(R"(["h","e"])", R"(["h","h"])"),
              HasSubstr("the result is not in the vocabulary"));
  EXPECT_THAT(refusal(R"(["h","e"])", R"(["h",""])"), HasSubstr("an empty one"));
  EXPECT_THAT(refusal(R"(["h","e"])", R"(["a","a"])"), HasSubstr("repeats merge 4"));
  EXPECT_THAT(refusal(R"(["h","e"])", R"(["h"])"),
              HasSubstr("model.merges[9]: expected [left, right]"));
  EXPECT_THAT(refusal(R"(["h","e"])", R"(["h","e","y"])"), HasSubstr("a third part"));
  EXPECT_THAT(refusal(R"(["h","e"])", R"("h e y")"), HasSubstr("model.merges[9]"));
  EXPECT_THAT(refusal(R"(["h","e"])", "7"), HasSubstr("model.merges[9]"));
}

TEST(TokenizerJsonTest, EveryTruncationIsAnError) {
  const std::string json = testing::small_tokenizer_json();
  for (size_t size = 0; size < json.size(); size += size < 3000 ? 7 : 1)
    ASSERT_FALSE(Tokenizer::from_json(std::string(json, 0, size)).ok()) << size;
  EXPECT_THAT(error_of(Tokenizer::from_json(json + "{}")), HasSubstr("behind the end"));
}

GgufBuilder small_gguf(const std::vector<std::string>& merges) {
  const std::vector<std::string> pieces = testing::vocabulary_of(testing::small_merges());
  std::vector<int32_t> types(pieces.size(), 1);
  for (size_t id = 0; id < testing::small_added_tokens().size(); ++id)
    types[id] = id % 2 == 0 ? 3 : 4;
  return GgufBuilder()
      .add("tokenizer.ggml.model", "gemma4")
      .add("tokenizer.ggml.tokens", pieces)
      .add("tokenizer.ggml.token_type", types)
      .add("tokenizer.ggml.merges", merges);
}

std::vector<std::string> merge_lines() {
  std::vector<std::string> lines;
  for (const auto& [left, right] : testing::small_merges())
    lines.push_back(testing::with_space_symbols(left) + " " + testing::with_space_symbols(right));
  return lines;
}

std::string gguf_refusal(GgufBuilder builder) {
  return error_of(Tokenizer::from_gguf(as_bytes(builder.build())));
}

TEST(TokenizerGgufTest, GivesTheIdsOfTheJsonForm) {
  const auto tokenizer = Tokenizer::from_gguf(as_bytes(small_gguf(merge_lines()).build()));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer.value().encode(kText), testing::small_tokenizer().encode(kText));
  EXPECT_EQ(tokenizer.value().vocab_size(), testing::small_tokenizer().vocab_size());
  EXPECT_TRUE(tokenizer.value().is_special(5));
}

TEST(TokenizerGgufTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(gguf_refusal(GgufBuilder()), HasSubstr("\"tokenizer.ggml.model\" is missing"));
  EXPECT_THAT(gguf_refusal(GgufBuilder().add("tokenizer.ggml.model", "llama")),
              HasSubstr("expected \"gemma4\", found \"llama\""));
  EXPECT_THAT(gguf_refusal(small_gguf({}).add("tokenizer.ggml.pre", "gpt-2")),
              HasSubstr("tokenizer.ggml.pre"));
  EXPECT_THAT(gguf_refusal(small_gguf({}).add_bool("tokenizer.ggml.add_space_prefix", true)),
              HasSubstr("add_space_prefix"));
  EXPECT_THAT(gguf_refusal(small_gguf({"nospace"})), HasSubstr("element 0: expected two parts"));
  EXPECT_THAT(gguf_refusal(small_gguf({""})), HasSubstr("element 0: expected two parts"));
  EXPECT_THAT(gguf_refusal(small_gguf({"h Q"})), HasSubstr("the result is not in the vocabulary"));
}

TEST(TokenizerGgufTest, TheFirstOfRepeatedTokensWins) {
  std::vector<std::string> pieces = testing::vocabulary_of({});
  const auto num_pieces = static_cast<TokenId>(pieces.size());
  pieces.push_back("#");
  const std::string file =
      GgufBuilder()
          .add("tokenizer.ggml.model", "gemma4")
          .add("tokenizer.ggml.tokens", pieces)
          .add("tokenizer.ggml.token_type", std::vector<int32_t>(pieces.size(), 1))
          .add("tokenizer.ggml.merges", std::vector<std::string>{})
          .build();
  const auto tokenizer = Tokenizer::from_gguf(as_bytes(file));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_LT(tokenizer.value().encode("#")[0], num_pieces);
  EXPECT_EQ(tokenizer.value().piece(num_pieces), "#");
}

class TokenizerLoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / "gemma4_tokenizer_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& contents) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << contents;
    return path;
  }
  std::string folder_;
};

TEST_F(TokenizerLoadTest, TellsFormatsApartByContent) {
  const auto expected = testing::small_tokenizer().encode(kText);
  const std::string json = testing::small_tokenizer_json();
  write("tokenizer.json", json);
  // A file that fills its last page leaves nothing readable behind it.
  const std::string full_page = write("full", json + std::string(4096 - json.size() % 4096, ' '));
  const std::string gguf = write("vocabulary", small_gguf(merge_lines()).build());
  for (const std::string& path : {folder_, folder_ + "/tokenizer.json", full_page, gguf}) {
    const auto tokenizer = Tokenizer::load(path);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    EXPECT_EQ(tokenizer.value().encode(kText), expected) << path;
  }
}

TEST_F(TokenizerLoadTest, ErrorsNameTheFileOnce) {
  EXPECT_THAT(error_of(Tokenizer::load(folder_)), HasSubstr("tokenizer.json: No such file"));
  EXPECT_EQ(Tokenizer::load(folder_).error().code, ErrorCode::kNotFound);
  for (const auto& [contents, expected] :
       std::initializer_list<std::pair<std::string, std::string>>{{"", ": is neither"},
                                                                  {"[]", ": is neither"},
                                                                  {"GGUF", ": version"},
                                                                  {"{}", ": normalizer"}}) {
    const std::string path = write("file", contents);
    const std::string message = error_of(Tokenizer::load(path));
    EXPECT_TRUE(message.starts_with(path + expected)) << message;
  }
}

}  // namespace
}  // namespace gemma4::text
