#include "text/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "io/mapped_file.h"
#include "text/tokenizer.h"

namespace gemma4::text {
namespace {

using ::testing::HasSubstr;

// The header as a file, and back.
Result<Tokenizer> tokenizer_of(const io::GgufHeader& header) {
  const std::string path = ::testing::TempDir() + "vocabulary.gguf";
  EXPECT_TRUE(io::GgufWriter::create(path, header).value().commit().ok());
  Result<Tokenizer> tokenizer = Tokenizer::load(path);
  std::filesystem::remove(path);
  return tokenizer;
}

TEST(GgufVocabularyTest, TokenisesLikeTheJsonItCameFrom) {
  const std::string path = std::string(GEMMA4_SOURCE_DIR) + "/models/demo/tokenizer.json";
  const std::string json = io::read_file(path).value();
  const Tokenizer expected = Tokenizer::load(path).value();
  io::GgufHeader header;
  const int32_t size = expected.vocab_size();
  ASSERT_TRUE(add_gguf_vocabulary(json, size + 3, header).ok());
  const auto found = tokenizer_of(header);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found.value().vocab_size(), size + 3);
  for (int32_t id = 0; id < size; ++id) {
    ASSERT_EQ(found.value().piece(id), expected.piece(id));
    ASSERT_EQ(found.value().is_added(id), expected.is_added(id)) << id;
    ASSERT_EQ(found.value().is_byte(id), expected.is_byte(id)) << id;
  }
  for (const char* text :
       {"<bos><|turn>user\nHello, world!<turn|>\n", "  \n\n\n a b", "naïve 模型 \x01"})
    EXPECT_EQ(found.value().encode(text), expected.encode(text)) << text;
}

TEST(GgufVocabularyTest, RefusesAVocabularyLargerThanTheModel) {
  const std::string json =
      io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/models/demo/tokenizer.json").value();
  io::GgufHeader header;
  EXPECT_THAT(add_gguf_vocabulary(json, 500, header).error().message,
              HasSubstr("they do not belong together"));
  EXPECT_FALSE(add_gguf_vocabulary("{}", 500, header).ok());
}

TEST(GgufVocabularyTest, MadeUpVocabulariesCanBeUsed) {
  for (const int32_t size : {512, 600, 5000}) {
    io::GgufHeader header;
    const int32_t last = size - 1;
    ASSERT_TRUE(add_synthetic_vocabulary(size, std::span(&last, 1), header).ok());
    const auto tokenizer = tokenizer_of(header);
    ASSERT_TRUE(tokenizer.ok()) << size << ": " << tokenizer.error().message;
    EXPECT_EQ(tokenizer.value().vocab_size(), size);
    EXPECT_EQ(tokenizer.value().bos(), 2);
    EXPECT_EQ(tokenizer.value().added_token("<turn|>"), 106);
    EXPECT_TRUE(tokenizer.value().is_byte(238));
    EXPECT_EQ(tokenizer.value().added_token("<|image|>"), last);
    const std::string text = "the tea is hot\nÜ";
    EXPECT_EQ(tokenizer.value().decode(tokenizer.value().encode(text)), text);
  }
  io::GgufHeader header;
  EXPECT_THAT(add_synthetic_vocabulary(493, {}, header).error().message, HasSubstr("494"));
  EXPECT_TRUE(add_synthetic_vocabulary(494, {}, header).ok());
  const int32_t byte = 240;
  EXPECT_THAT(add_synthetic_vocabulary(512, std::span(&byte, 1), header).error().message,
              HasSubstr("id 240 of <|image|> is taken"));
}

}  // namespace
}  // namespace gemma4::text
