#include "model/imatrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>

#include "io/gguf_testing.h"
#include "io/mapped_file.h"

namespace gemma4::model {
namespace {

using io::testing::GgufBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;

class SavedImatrix : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "imatrix_test.gguf";
    matrix_.entries["blk.0.attn_q.weight"] = {{1, 4, 9}, {2}};
    matrix_.entries["blk.0.ffn_down_exps.weight"] = {{1, 2, 3, 4, 0, 0}, {10, 20, 0}};
    matrix_.datasets = {"a.txt", "b.txt"};
    matrix_.chunk_count = 7;
    matrix_.chunk_tokens = 512;
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::string path_;
  ImportanceMatrix matrix_;
};

TEST_F(SavedImatrix, IsReadBack) {
  ASSERT_TRUE(matrix_.save(path_).ok());
  const ImportanceMatrix read = ImportanceMatrix::load(path_).value();
  ASSERT_EQ(read.entries.size(), 2U);
  const ColumnSums& experts = read.entries.at("blk.0.ffn_down_exps.weight");
  EXPECT_THAT(experts.squares, ElementsAre(1, 2, 3, 4, 0, 0));
  EXPECT_THAT(experts.counts, ElementsAre(10, 20, 0));
  EXPECT_EQ(experts.num_matrices(), 3);
  EXPECT_EQ(experts.cols(), 2);
  EXPECT_EQ(read.datasets, matrix_.datasets);
  EXPECT_EQ(read.chunk_count, 7U);
  EXPECT_EQ(read.chunk_tokens, 512U);
}

// The form that llama.cpp's tools write and read: tools/imatrix and common/imatrix-loader there.
TEST_F(SavedImatrix, HasTheFormOfTheField) {
  ASSERT_TRUE(matrix_.save(path_).ok());
  const auto map = io::MappedFile::open(path_).value();
  const auto file = io::GgufFile::parse(map.bytes()).value();
  EXPECT_EQ(file.get_string("general.type").value(), "imatrix");
  EXPECT_EQ(file.get_array("imatrix.datasets", io::GgufValueType::kString).value().size(), 2U);
  EXPECT_EQ(file.find("imatrix.chunk_count")->type(), io::GgufValueType::kU32);
  EXPECT_EQ(file.get_int("imatrix.chunk_size").value(), 512);
  EXPECT_THAT(file.tensors(),
              ElementsAre(Key("blk.0.attn_q.weight.counts"), Key("blk.0.attn_q.weight.in_sum2"),
                          Key("blk.0.ffn_down_exps.weight.counts"),
                          Key("blk.0.ffn_down_exps.weight.in_sum2")));
  // Dimensions fastest first.
  EXPECT_THAT(file.find_tensor("blk.0.ffn_down_exps.weight.in_sum2")->dims, ElementsAre(2, 3));
  EXPECT_THAT(file.find_tensor("blk.0.ffn_down_exps.weight.counts")->dims, ElementsAre(1, 3));
}

TEST_F(SavedImatrix, SumsThatAreNoNumbersAreNotWritten) {
  matrix_.entries["blk.0.attn_q.weight"].squares[1] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(matrix_.save(path_).error().message, HasSubstr("\"blk.0.attn_q.weight\" holds"));
  EXPECT_FALSE(io::MappedFile::open(path_).ok());
}

TEST(Imatrix, ImportanceIsTheMeanSquare) {
  const GgufTensorEntry tensor{"t", "t", {3, 5, 2}, true};
  const ColumnSums sums{{1, 2, 3, 4, 0, 0}, {10, 20, 0}};
  EXPECT_THAT(column_importance(sums, tensor).value(),
              ElementsAre(0.1f, 0.2f, 0.15f, 0.2f, 1.0f, 1.0f));  // nothing is known of the last
}

TEST(Imatrix, OtherSizesAreRefusedByName) {
  const ColumnSums sums{{1, 2, 3, 4}, {1}};
  EXPECT_THAT(column_importance(sums, {"blk.3.x", "", {8, 6}, true}).error().message,
              HasSubstr("\"blk.3.x\" has 1 x 4 columns, the model's tensor has 1 x 6"));
  EXPECT_FALSE(column_importance(sums, {"blk.3.x", "", {2, 8, 2}, true}).ok());
}

TEST(Imatrix, OtherLayoutsOfTheSameInput) {
  ImportanceMatrix matrix;
  matrix.entries["blk.1.ffn_up_exps.weight"] = {{1}, {1}};
  matrix.entries["blk.1.attn_qkv.weight"] = {{1}, {1}};
  EXPECT_EQ(matrix.find("blk.1.ffn_gate_up_exps.weight").first, "blk.1.ffn_up_exps.weight");
  EXPECT_EQ(matrix.find("blk.1.attn_k.weight").first, "blk.1.attn_qkv.weight");
  EXPECT_EQ(matrix.find("blk.2.attn_k.weight").second, nullptr);
  EXPECT_EQ(matrix.find("blk.1.attn_output.weight").second, nullptr);
  matrix.entries["blk.1.attn_k.weight"] = {{1}, {1}};
  EXPECT_EQ(matrix.find("blk.1.attn_k.weight").first, "blk.1.attn_k.weight");
}

std::string problem_of(GgufBuilder builder) {
  const std::string file = builder.build();
  return ImportanceMatrix::parse(std::as_bytes(std::span(file))).error().message;
}

TEST(Imatrix, DamagedFilesAreRefused) {
  GgufBuilder model;
  model.add("general.type", std::string_view("model"));
  EXPECT_THAT(problem_of(model), HasSubstr("no importance matrix"));
  GgufBuilder empty;
  empty.add("general.type", std::string_view("imatrix"));
  EXPECT_THAT(problem_of(empty), HasSubstr("has no entries"));
  GgufBuilder alone = empty;
  alone.add_tensor("a.in_sum2", {8}, 0, 0).add_data(32);
  EXPECT_THAT(problem_of(alone), HasSubstr("\"a\" has sums but no counts"));
  GgufBuilder uneven = alone;
  uneven.add_tensor("a.counts", {3}, 0, 32).add_data(32);
  EXPECT_THAT(problem_of(uneven), HasSubstr("\"a\" has 8 sums for 3 counts"));
  GgufBuilder halves = empty;
  halves.add_tensor("a.in_sum2", {8}, 1, 0).add_tensor("a.counts", {1}, 0, 32).add_data(64);
  EXPECT_THAT(problem_of(halves), HasSubstr("\"a\" has type F16, expected F32"));
}

TEST(Imatrix, TheOlderFormatIsNamed) {
  const std::string path = testing::TempDir() + "old.dat";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  std::fputs("\x02\x01\x03\x04 something", file);
  std::fclose(file);
  EXPECT_THAT(ImportanceMatrix::load(path).error().message, HasSubstr("older format"));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace gemma4::model
