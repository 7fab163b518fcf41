#include "io/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "io/gguf.h"
#include "io/gguf_testing.h"
#include "io/mapped_file.h"

namespace gemma4::io {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;

class GgufWriterTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  static GgufHeader header() {
    const std::vector<int32_t> counts = {8, -2};
    const std::vector<float> scores = {0.5f, -1000.0f};
    const std::vector<std::string_view> words = {"x", "", "yz"};
    GgufHeader header;
    header.add("name", "tiny");
    header.add("layers", 30u);
    header.add("eps", 1e-6f);
    header.add("flag", true);
    header.add("counts", std::span(counts));
    header.add("scores", std::span(scores));
    header.add("pattern", std::vector<bool>{true, false, true});
    header.add("words", std::span(words));
    header.add_tensor("norm", std::vector<int64_t>{3}, DType::kF32);
    header.add_tensor("matrix", std::vector<int64_t>{2, 64}, DType::kQ4_0);
    header.add_tensor("last", std::vector<int64_t>{1}, DType::kBF16);
    return header;
  }
  // In pieces of `piece` bytes, which end anywhere.
  std::string written(size_t piece) const {
    std::string bytes;
    for (int i = 0; i < 12 + 72 + 2; ++i) bytes += static_cast<char>(i);
    auto writer = GgufWriter::create(path_, header()).value();
    for (size_t begin = 0; begin < bytes.size(); begin += piece)
      EXPECT_TRUE(writer.write(as_bytes(std::string_view(bytes).substr(begin, piece))).ok());
    EXPECT_FALSE(std::filesystem::exists(path_));  // not before it is whole
    EXPECT_TRUE(writer.commit().ok());
    std::string file = read_file(path_).value();
    std::filesystem::remove(path_);
    return file;
  }

  std::string path_ = ::testing::TempDir() + "written.gguf";
};

TEST_F(GgufWriterTest, ReadsWhatItWrote) {
  const std::string file = written(1000);
  EXPECT_EQ(file.size() % GgufHeader::kAlignment, 0u);
  const auto parsed = GgufFile::parse(as_bytes(file));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const GgufFile& gguf = parsed.value();
  EXPECT_EQ(gguf.get_string("name").value(), "tiny");
  EXPECT_EQ(gguf.get_int("layers").value(), 30);
  EXPECT_EQ(gguf.get_float("eps").value(), 1e-6f);
  EXPECT_TRUE(gguf.get_bool("flag").value());
  EXPECT_THAT(gguf.get_ints("counts").value(), ElementsAre(8, -2));
  EXPECT_THAT(gguf.get_ints("pattern").value(), ElementsAre(1, 0, 1));
  EXPECT_EQ(gguf.get_array("scores", GgufValueType::kF32).value().size(), 2u);
  EXPECT_EQ(gguf.get_array("words", GgufValueType::kString).value().size(), 3u);
  const GgufTensor& matrix = *gguf.find_tensor("matrix");
  EXPECT_THAT(matrix.dims, ElementsAre(64, 2));  // fastest first
  EXPECT_EQ(matrix.type->name, "Q4_0");
  EXPECT_EQ(matrix.bytes[0], std::byte{12});
  EXPECT_EQ(gguf.find_tensor("norm")->bytes[11], std::byte{11});
  EXPECT_EQ(gguf.find_tensor("last")->bytes[1], std::byte{85});
}

TEST_F(GgufWriterTest, SameBytesHoweverTheyAreCut) {
  const std::string whole = written(1000);
  EXPECT_EQ(written(1000), whole);
  EXPECT_EQ(written(7), whole);
  EXPECT_EQ(written(12), whole);
}

TEST_F(GgufWriterTest, CopiesValuesOfAnotherFile) {
  const std::string file = written(1000);
  const auto first = GgufFile::parse(as_bytes(file)).value();
  GgufHeader copy;
  for (const auto& [key, value] : first.metadata()) copy.add(key, value);
  EXPECT_TRUE(GgufWriter::create(path_, copy).value().commit().ok());
  const std::string copied = read_file(path_).value();
  const auto second = GgufFile::parse(as_bytes(copied)).value();
  ASSERT_EQ(second.metadata().size(), first.metadata().size());
  for (const auto& [key, value] : first.metadata()) {
    const GgufValue* found = second.find(key);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->type(), value.type());
    EXPECT_TRUE(std::ranges::equal(found->bytes(), value.bytes()));
  }
}

TEST_F(GgufWriterTest, WithoutCommitNothingIsThere) {
  { EXPECT_TRUE(GgufWriter::create(path_, header()).ok()); }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST(GgufTypesTest, EveryWeightTypeHasOneOfGguf) {
  for (int i = 0; i <= static_cast<int>(DType::kIQ4_XS); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!is_weight_dtype(dtype)) continue;
    const GgufTensorType* type = gguf_type_of(dtype);
    ASSERT_NE(type, nullptr) << name_of(dtype);
    EXPECT_EQ(type->block_elements, info_of(dtype).block_elements);
    EXPECT_EQ(type->block_bytes, info_of(dtype).block_bytes);
    EXPECT_EQ(dtype_of(*type), dtype);
  }
  EXPECT_EQ(gguf_type_of(DType::kBool), nullptr);
  EXPECT_EQ(dtype_of(*find_gguf_tensor_type(29)), std::nullopt);  // IQ1_M
}

}  // namespace
}  // namespace gemma4::io
