// Files that tell the truth load, wherever their bytes lie; every way to lie gives one error that
// names the tensor.

#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"

namespace gemma4::io {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string file_of(const std::string& header, size_t data_bytes) {
  const uint64_t size = header.size();
  std::string file(reinterpret_cast<const char*>(&size), 8);
  file += header;
  for (size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

Result<TensorMap> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)));
}
std::string error_of(const std::string& file) {
  const auto parsed = parse(file);
  if (parsed.ok()) return "no error";
  EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidData);
  return parsed.error().message;
}
std::string error_of(const std::string& header, size_t data_bytes) {
  return error_of(file_of(header, data_bytes));
}
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return str_cat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                 ",\"data_offsets\":", offsets, "}");
}

// A folder of its own that goes away with the test.
class Folder {
 public:
  Folder() : path_(::testing::TempDir() + "safetensors-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string write(const std::string& name, const std::string& content) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string open_error(const std::string& path) {
  const auto store = TensorStore::open(path);
  return store.ok() ? "no error" : store.error().message;
}

TEST(Safetensors, ATrueFileLoads) {
  const std::string file = file_of(
      "{\"__metadata__\":{\"format\":\"pt\"}," + entry("b", "F32", "[2]", "[3,11]") + "," +
          entry("a", "U8", "[3]", "[0,3]") + "," + entry("empty", "F16", "[4,0]", "[11,11]") + "," +
          entry("scalar", "BF16", "[]", "[11,13]") + "}   ",
      13);
  const auto parsed = parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const TensorMap& tensors = parsed.value();
  EXPECT_EQ(tensors.size(), 4u);
  const Tensor& b = tensors.find("b")->second;
  EXPECT_EQ(b.dtype, DType::kF32);
  EXPECT_EQ(b.shape, std::vector<int64_t>{2});
  EXPECT_EQ(b.size(), 2);
  EXPECT_EQ(b.bytes[0], std::byte{3});  // unaligned: after three bytes of "a"
  EXPECT_EQ(tensors.find("empty")->second.size(), 0);
  EXPECT_EQ(tensors.find("scalar")->second.size(), 1);
  EXPECT_TRUE(parse(file_of("{}", 0)).value().empty());
}

TEST(Safetensors, EveryTypeIsUnderstood) {
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i) {
    const auto dtype = static_cast<DType>(i);
    const std::string bytes = std::to_string(3 * size_of(dtype));
    const auto parsed = parse(
        file_of("{" + entry("x", std::string(name_of(dtype)), "[3]", "[0," + bytes + "]") + "}",
                static_cast<size_t>(3 * size_of(dtype))));
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed.value().find("x")->second.dtype, dtype);
  }
}

TEST(Safetensors, ShortAndLyingHeadersAreRefused) {
  for (size_t size = 0; size < 8; ++size) EXPECT_NE(error_of(std::string(size, '\0')), "no error");
  EXPECT_NE(error_of(std::string(8, '\0')), "no error");  // a header of no bytes
  std::string too_long = file_of("{}", 4);
  too_long[0] = 7;
  EXPECT_THAT(error_of(too_long), HasSubstr("truncated"));
  too_long[7] = '\xff';  // 2^63 and more
  EXPECT_THAT(error_of(too_long), HasSubstr("truncated"));
  for (const char* header : {"{", "[]", "3", "null", "{\"a\":}", "\xff\xff"})
    EXPECT_THAT(error_of(header, 0), HasSubstr("not a JSON object")) << header;
}

TEST(Safetensors, EveryTruncationOfATrueFileIsRefused) {
  const std::string file = file_of(
      "{" + entry("a", "F32", "[2,3]", "[0,24]") + "," + entry("b", "U8", "[5]", "[24,29]") + "}",
      29);
  ASSERT_TRUE(parse(file).ok());
  for (size_t size = 0; size < file.size(); ++size)
    EXPECT_FALSE(parse(file.substr(0, size)).ok()) << size;
  EXPECT_THAT(error_of(file + "x"), HasSubstr("belong to no tensor"));
}

TEST(Safetensors, EveryLieAboutATensorNamesIt) {
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets) {
    const std::string message =
        error_of("{" + entry("lie.weight", dtype, shape, offsets) + "}", 16);
    EXPECT_THAT(message, HasSubstr("\"lie.weight\""));
    return message;
  };
  EXPECT_THAT(one("F32", "[4]", "[0,20]"), HasSubstr("outside the 16 bytes"));
  EXPECT_THAT(one("F32", "[4]", "[8,4]"), HasSubstr("outside"));
  EXPECT_THAT(one("F32", "[4]", "[0,18446744073709551615]"), HasSubstr("outside"));
  EXPECT_THAT(one("F32", "[4]", "[-4,12]"), HasSubstr("data_offsets"));
  EXPECT_THAT(one("F32", "[4]", "[0]"), HasSubstr("data_offsets"));
  EXPECT_THAT(one("F32", "[4]", "[0,16,16]"), HasSubstr("data_offsets"));
  EXPECT_THAT(one("F32", "[4]", "[0,1.5]"), HasSubstr("data_offsets"));
  EXPECT_THAT(one("F32", "[5]", "[0,16]"), HasSubstr("shape [5] of F32 needs 20 bytes"));
  EXPECT_THAT(one("F32", "[2,1]", "[0,16]"), HasSubstr("needs 8 bytes, the header gives it 16"));
  EXPECT_THAT(one("F32", "[4294967296,4294967296]", "[0,16]"), HasSubstr("needs too many bytes"));
  EXPECT_THAT(one("F32", "[4611686018427387905]", "[0,4]"), HasSubstr("too many"));  // wraps to 4
  EXPECT_THAT(one("F32", "[-4]", "[0,16]"), HasSubstr("not a size"));
  EXPECT_THAT(one("F32", "[\"4\"]", "[0,16]"), HasSubstr("not a size"));
  EXPECT_THAT(one("F32", "4", "[0,16]"), HasSubstr("no \"shape\""));
  EXPECT_THAT(one("F32", "[1,1,1,1,1,1,1,1,4]", "[0,16]"), HasSubstr("dimensions"));
  EXPECT_THAT(one("F31", "[4]", "[0,16]"), HasSubstr("unknown dtype \"F31\""));
  EXPECT_THAT(error_of("{\"lie\":3}", 0), HasSubstr("\"lie\": expected an object"));
  EXPECT_THAT(error_of("{\"lie\":{}}", 0), HasSubstr("no \"dtype\""));
}

TEST(Safetensors, OverlapsHolesAndDuplicatesAreRefused) {
  const auto two = [](const std::string& first, const std::string& second,
                      const char* name = "second") {
    return error_of(
        "{" + entry("first", "U8", "[4]", first) + "," + entry(name, "U8", "[4]", second) + "}", 8);
  };
  EXPECT_EQ(two("[0,4]", "[4,8]"), "no error");
  EXPECT_EQ(two("[4,8]", "[0,4]"), "no error");
  EXPECT_THAT(two("[0,4]", "[3,7]"), HasSubstr("\"second\": overlaps"));
  EXPECT_THAT(two("[0,4]", "[0,4]"), HasSubstr("overlaps"));
  EXPECT_THAT(two("[1,5]", "[0,4]"), HasSubstr("\"first\": overlaps"));
  EXPECT_THAT(two("[0,4]", "[4,8]", "first"), HasSubstr("\"first\": is listed twice"));
  EXPECT_THAT(error_of("{" + entry("a", "U8", "[4]", "[2,6]") + "}", 6),
              HasSubstr("\"a\": 2 bytes before it belong to no tensor"));
  EXPECT_THAT(error_of("{" + entry("a", "U8", "[4]", "[0,4]") + "}", 6),
              HasSubstr("the last 2 bytes belong to no tensor"));
}

TEST(Safetensors, UnalignedTensorsReadRight) {
  const Folder folder;
  const float values[] = {1.5f, -2.25f, 3e-20f};
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string header =
        "{" + entry("pad", "U8", str_cat("[", shift, "]"), str_cat("[0,", shift, "]")) + "," +
        entry("x", "F32", "[3]", str_cat("[", shift, ",", shift + 12, "]")) + "}";
    while (header.size() % 8 != 0) header += ' ';
    std::string file = file_of(header, shift);
    file.append(reinterpret_cast<const char*>(values), 12);
    const auto store = TensorStore::open(folder.write("x.safetensors", file));
    ASSERT_TRUE(store.ok()) << store.error().message;
    const auto read = read_floats(*store.value().find("x"));
    EXPECT_EQ(read.value(), std::vector<float>(values, values + 3));
    EXPECT_FALSE(read_floats(*store.value().find("pad")).ok());
    EXPECT_EQ(read_integers(*store.value().find("pad")).value().size(), shift);
    EXPECT_FALSE(read_integers(*store.value().find("x")).ok());
  }
}

TEST(TensorStore, SaysWhatIsMissing) {
  const Folder folder;
  EXPECT_THAT(open_error(folder.path()), HasSubstr("has neither model.safetensors nor"));
  EXPECT_THAT(open_error(folder.path() + "/none"), HasSubstr("/none: No such file"));
  EXPECT_THAT(open_error(folder.write("broken", "x")), HasSubstr("/broken: "));
  EXPECT_THAT(open_error(folder.write("zero", "")), HasSubstr("/zero: "));
}

TEST(TensorStore, ShardsAreJoined) {
  const Folder folder;
  folder.write("1.safetensors", file_of("{" + entry("a", "U8", "[2]", "[0,2]") + "}", 2));
  folder.write("2.safetensors", file_of("{" + entry("b", "U8", "[3]", "[0,3]") + "}", 3));
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  const auto store = TensorStore::open(folder.path());
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_NE(store.value().find("a"), nullptr);
  EXPECT_NE(store.value().find("b"), nullptr);
  EXPECT_EQ(store.value().find("c"), nullptr);
  EXPECT_EQ(store.value().file_bytes(), fs::file_size(folder.path() + "/1.safetensors") +
                                            fs::file_size(folder.path() + "/2.safetensors"));
}

TEST(TensorStore, LyingIndexesAreRefused) {
  const Folder folder;
  folder.write("1.safetensors", file_of("{" + entry("a", "U8", "[2]", "[0,2]") + "}", 2));
  folder.write("same.safetensors", file_of("{" + entry("a", "U8", "[2]", "[0,2]") + "}", 2));
  const auto with_map = [&](const std::string& map) {
    folder.write("model.safetensors.index.json", "{\"weight_map\":" + map + "}");
    return open_error(folder.path());
  };
  EXPECT_EQ(with_map(R"({"a":"1.safetensors"})"), "no error");
  EXPECT_THAT(with_map(R"({"a":"1.safetensors","b":"gone.safetensors"})"),
              HasSubstr("shard gone.safetensors is missing"));
  EXPECT_THAT(with_map(R"({"a":"1.safetensors","b":"1.safetensors"})"),
              HasSubstr("tensor \"b\" is in none of its shards"));
  EXPECT_THAT(with_map(R"({"a":"1.safetensors","x":"same.safetensors"})"),
              HasSubstr("\"a\" is also in another shard"));
  for (const char* name : {"../x", "/etc/passwd", "a/b", "", "x\\u0000y"})
    EXPECT_THAT(with_map(str_cat("{\"a\":\"", name, "\"}")),
                HasSubstr("is not a file in the folder"))
        << name;
  EXPECT_THAT(with_map(R"({"a":3})"), HasSubstr("entry of tensor \"a\" is not a file name"));
  EXPECT_THAT(with_map("3"), HasSubstr("no \"weight_map\" object"));
  folder.write("model.safetensors.index.json", "not json");
  EXPECT_THAT(open_error(folder.path()), HasSubstr("weight_map"));
  EXPECT_NE(with_map(R"({"a":".."})"), "no error");  // a folder, not a file
}

TEST(SafetensorsWriter, WhatIsWrittenReadsBackAndIsAligned) {
  const Folder folder;
  const std::string path = folder.path() + "/out.safetensors";
  auto writer = SafetensorsWriter::create(
      path, {{"a.weight", DType::kBF16, {3, 5}}, {"b", DType::kF32, {}}, {"c", DType::kU8, {0}}});
  ASSERT_TRUE(writer.ok());
  const std::vector<std::byte> bytes(34, std::byte{0x3f});
  ASSERT_TRUE(writer.value().write(std::span(bytes).first(7)).ok());
  EXPECT_FALSE(fs::exists(path));
  ASSERT_TRUE(writer.value().write(std::span(bytes).subspan(7)).ok());
  ASSERT_TRUE(writer.value().commit().ok());
  const auto store = TensorStore::open(path);
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_EQ(store.value().tensors().size(), 3u);
  EXPECT_EQ(store.value().find("a.weight")->shape, (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(store.value().find("a.weight")->bytes.data()) % 8, 0u);
}

TEST(SafetensorsWriterDeathTest, CommittingTooFewBytesIsABug) {
  const Folder folder;
  auto writer = SafetensorsWriter::create(folder.path() + "/x", {{"a", DType::kF32, {4}}}).value();
  EXPECT_DEATH((void)writer.commit(), "internal error");
}

}  // namespace
}  // namespace gemma4::io
