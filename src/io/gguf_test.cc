#include "io/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/gguf_testing.h"

namespace gemma4::io {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;
using testing::GgufBuilder;
using ::testing::HasSubstr;

constexpr uint32_t kQ4K = 12, kF32 = 0;

std::string error_of(const std::string& file) {
  const auto gguf = GgufFile::parse(as_bytes(file));
  return gguf.ok() ? "no error" : gguf.error().message;
}

TEST(GgufTest, ReadsScalarsAndArrays) {
  const std::string file = GgufBuilder()
                               .add("name", "a\0b")
                               .add("layers", 30u)
                               .add("eps", 0.5f)
                               .add_bool("flag", true)
                               .add("heads", std::vector<int32_t>{8, -8, 2})
                               .add("words", std::vector<std::string>{"x", "", "yz"})
                               .build();
  const auto gguf = GgufFile::parse(as_bytes(file));
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  const GgufFile& values = gguf.value();
  EXPECT_EQ(values.metadata().size(), 6u);
  EXPECT_EQ(values.get_string("name").value(), "a");
  EXPECT_EQ(values.get_int("layers").value(), 30);
  EXPECT_EQ(values.get_float("layers").value(), 30.0);
  EXPECT_EQ(values.get_float("eps").value(), 0.5);
  EXPECT_TRUE(values.get_bool("flag").value());
  EXPECT_THAT(values.get_ints("heads").value(), ElementsAre(8, -8, 2));
  EXPECT_THAT(values.get_ints("layers").value(), ElementsAre(30));
  EXPECT_THAT(values.get_ints("flag").value(), ElementsAre(1));
  std::vector<std::string> words;
  const GgufArray array = values.get_array("words", GgufValueType::kString).value();
  for (const GgufValue word : array) words.emplace_back(*word.as_string());
  EXPECT_THAT(words, ElementsAre("x", "", "yz"));
}

TEST(GgufTest, ReadsEveryIntegerType) {
  const std::string all_ones(8, '\xFF');
  const std::pair<GgufValueType, std::optional<int64_t>> kExpected[] = {
      {GgufValueType::kU8, 255}, {GgufValueType::kI8, -1},           {GgufValueType::kU16, 65535},
      {GgufValueType::kI16, -1}, {GgufValueType::kU32, 4294967295},  {GgufValueType::kI32, -1},
      {GgufValueType::kI64, -1}, {GgufValueType::kU64, std::nullopt}};
  for (const auto& [type, expected] : kExpected) {
    const std::string file =
        GgufBuilder().add_raw("k", static_cast<uint32_t>(type), all_ones).build();
    const auto value = GgufValue(type, as_bytes(all_ones)).as_int();
    EXPECT_EQ(value, expected) << name_of(type);
  }
}

TEST(GgufTest, ReadsNestedArrays) {
  // Two arrays, of one and two u8.
  const std::string inner1("\0\0\0\0\1\0\0\0\0\0\0\0\7", 13),
      inner2("\0\0\0\0\2\0\0\0\0\0\0\0\10\11", 14);
  const std::string outer = std::string("\11\0\0\0\2\0\0\0\0\0\0\0", 12) + inner1 + inner2;
  const std::string file = GgufBuilder().add_raw("nested", 9, outer).add("next", 5u).build();
  const auto gguf = GgufFile::parse(as_bytes(file));
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  std::vector<int64_t> flat;
  const GgufArray arrays = gguf.value().get_array("nested", GgufValueType::kArray).value();
  for (const GgufValue value : arrays) {
    const GgufArray array = *value.as_array();
    for (const GgufValue element : array) flat.push_back(*element.as_int());
  }
  EXPECT_THAT(flat, ElementsAre(7, 8, 9));
  EXPECT_EQ(gguf.value().get_int("next").value(), 5);
}

TEST(GgufTest, PlacesTensors) {
  const std::string file = GgufBuilder()
                               .add_tensor("a", {512, 3}, kQ4K, 0)
                               .add_tensor("b", {5}, kF32, 864)
                               .add_data(864 + 20)
                               .build();
  const auto gguf = GgufFile::parse(as_bytes(file));
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  const GgufTensor* a = gguf.value().find_tensor("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->type->name, "Q4_K");
  EXPECT_THAT(a->dims, ElementsAre(512, 3));
  EXPECT_EQ(a->num_elements, 1536);
  EXPECT_EQ(a->bytes.size(), 864u);
  const GgufTensor* b = gguf.value().find_tensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->bytes.data() + 20, as_bytes(file).data() + file.size());
  EXPECT_EQ(gguf.value().find_tensor("c"), nullptr);
}

TEST(GgufTest, AlignsDataAsTheFileSays) {
  // The builder pads to 32, so only an offset shows the larger alignment.
  const std::string file = GgufBuilder()
                               .add("general.alignment", 64u)
                               .add_tensor("a", {1}, kF32, 32)
                               .add_data(256)
                               .build();
  EXPECT_THAT(error_of(file), HasSubstr("tensor \"a\": offset 32, expected a multiple of 64"));
  EXPECT_THAT(error_of(GgufBuilder().add("general.alignment", 0u).build()),
              HasSubstr("general.alignment"));
}

TEST(GgufTest, AcceptsVersionTwoOnly) {
  EXPECT_EQ(error_of(GgufBuilder(2).build()), "no error");
  EXPECT_THAT(error_of(GgufBuilder(1).build()), HasSubstr("version 1, expected 2 or 3"));
  EXPECT_THAT(error_of(GgufBuilder(0x03000000).build()), HasSubstr("big-endian"));
  EXPECT_THAT(error_of("GGML"), HasSubstr("GGUF"));
}

TEST(GgufTest, NamesWhatIsWrong) {
  const auto tensor = [](std::vector<uint64_t> dims, uint32_t type, uint64_t offset) {
    return error_of(GgufBuilder().add_tensor("t", dims, type, offset).add_data(64).build());
  };
  EXPECT_EQ(tensor({16}, kF32, 0), "no error");
  EXPECT_THAT(tensor({17}, kF32, 0), HasSubstr("tensor \"t\": 68 bytes at 0"));
  EXPECT_THAT(tensor({1}, kF32, uint64_t{1} << 63),
              HasSubstr("tensor \"t\": 4 bytes at 9223372036854775808"));
  EXPECT_THAT(tensor({255}, kQ4K, 0), HasSubstr("expected a multiple of 256 for Q4_K"));
  EXPECT_THAT(tensor({uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 0), HasSubstr("more than 2^63"));
  EXPECT_THAT(tensor({uint64_t{1} << 62}, kF32, 0), HasSubstr("more than 2^64"));
  EXPECT_THAT(tensor({0}, kF32, 0), HasSubstr("dimension 0 is 0"));
  EXPECT_THAT(tensor({}, kF32, 0), HasSubstr("0 dimensions"));
  EXPECT_THAT(tensor({1, 1, 1, 1, 1}, kF32, 0), HasSubstr("5 dimensions"));
  EXPECT_THAT(tensor({32}, 4, 0), HasSubstr("unknown tensor type 4"));
  EXPECT_THAT(error_of(GgufBuilder().add("k", 1u).add("k", 2u).build()),
              HasSubstr("\"k\" is there twice"));
  EXPECT_THAT(error_of(GgufBuilder().add_raw("k", 13, "").build()),
              HasSubstr("\"k\": unknown value type 13"));
  const std::string huge_count("\4\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 12);
  EXPECT_THAT(error_of(GgufBuilder().add_raw("k", 9, huge_count).build()),
              HasSubstr("\"k\": the array is longer"));
}

TEST(GgufTest, TypedReadsNameTheKey) {
  const std::string file = GgufBuilder().add("k", "text").build();
  const auto gguf = GgufFile::parse(as_bytes(file));
  ASSERT_TRUE(gguf.ok());
  EXPECT_EQ(gguf.value().get_int("k").error().message,
            "metadata \"k\": expected an integer, found a string");
  EXPECT_EQ(gguf.value().get_int("j").error().message, "metadata \"j\" is missing");
  EXPECT_EQ(gguf.value().get_int("j").error().code, ErrorCode::kNotFound);
}

TEST(GgufTest, EveryTruncationIsAnErrorOrAWholeFile) {
  const std::string file = GgufBuilder()
                               .add("words", std::vector<std::string>{"x", "yz"})
                               .add_tensor("t", {8}, kF32, 0)
                               .add_data(32)
                               .build();
  for (size_t size = 0; size < file.size(); ++size) {
    const std::string cut = file.substr(0, size);  // its own memory, so sanitizers see over-reads
    EXPECT_FALSE(GgufFile::parse(as_bytes(cut)).ok()) << size;
  }
}

TEST(GgufTest, TensorTypeTableAgreesWithItsIds) {
  for (uint32_t id = 0; id < 64; ++id) {
    const GgufTensorType* type = find_gguf_tensor_type(id);
    if (type == nullptr) continue;
    EXPECT_EQ(type->id, id);
    EXPECT_GT(type->block_bytes, 0);
    EXPECT_LE(type->block_bytes, type->block_elements * 8);
  }
  EXPECT_EQ(find_gguf_tensor_type(4), nullptr);
  EXPECT_EQ(find_gguf_tensor_type(43), nullptr);
}

}  // namespace
}  // namespace gemma4::io
