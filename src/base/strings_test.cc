#include "base/strings.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/result.h"
#include "base/view.h"

namespace gemma4 {
namespace {

TEST(Strings, StrCatJoinsTextCharactersAndNumbers) {
  EXPECT_EQ(str_cat("shape ", 3, 'x', int64_t{-4}, std::string("!"), uint8_t{200}),
            "shape 3x-4!200");
  EXPECT_EQ(str_cat(std::numeric_limits<uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(str_cat(0.1, " ", 0.1f, " ", 1e30), "0.1 0.1 1e+30");  // shortest that reads back
  EXPECT_EQ(str_cat(), "");
}

TEST(Strings, FixedRounds) {
  EXPECT_EQ(fixed(1.26, 1), "1.3");
  EXPECT_EQ(fixed(-2, 3), "-2.000");
}

TEST(Strings, HumanBytesKeepsThreeDigitsAcrossUnits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1.00 KB");
  EXPECT_EQ(human_bytes(9'994), "9.99 KB");
  EXPECT_EQ(human_bytes(9'996), "10.0 KB");
  EXPECT_EQ(human_bytes(99'960), "100 KB");
  EXPECT_EQ(human_bytes(999'499), "999 KB");
  EXPECT_EQ(human_bytes(999'600), "1.00 MB");
  EXPECT_EQ(human_bytes(9'260'000'000), "9.26 GB");
  EXPECT_EQ(human_bytes(std::numeric_limits<uint64_t>::max()), "18.4 EB");
}

TEST(Strings, ThousandsAreSeparated) {
  EXPECT_EQ(with_thousands(0), "0");
  EXPECT_EQ(with_thousands(999), "999");
  EXPECT_EQ(with_thousands(1000), "1,000");
  EXPECT_EQ(with_thousands(262144), "262,144");
  EXPECT_EQ(with_thousands(1234567), "1,234,567");
}

TEST(Strings, LowerCaseChangesAsciiLettersOnly) {
  EXPECT_EQ(lower_case("BF16 Q8_0 [AZ@] \xc3\x84"), "bf16 q8_0 [az@] \xc3\x84");
}

TEST(Strings, QuoteEscapesControlCharactersAndCutsLongText) {
  EXPECT_EQ(quote("a\nb\x7f"), "\"a\\x0ab\\x7f\"");
  EXPECT_EQ(quote(std::string_view("\0", 1)), "\"\\x00\"");
  EXPECT_EQ(quote("abcdef", 3), "\"abc…\"");
  EXPECT_EQ(quote("abc", 3), "\"abc\"");
}

Result<int> half(int value) {
  if (value % 2 != 0) return Error{ErrorCode::kInvalidArgument, str_cat(value, " is odd")};
  return value / 2;
}
Result<int> quarter(int value) {
  G4_ASSIGN_OR_RETURN(const int once, half(value));
  return half(once);
}
Status check_even(int value) {
  G4_RETURN_IF_ERROR(half(value));
  return {};
}

TEST(Result, ErrorsTravelAndGainContext) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_FALSE(check_even(5));
  EXPECT_TRUE(check_even(4));
  const Error error = quarter(5).error().with_context("file");
  EXPECT_EQ(error.message, "file: 5 is odd");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
}

TEST(ResultDeathTest, TakingTheWrongSideIsABug) {
  EXPECT_DEATH((void)quarter(3).value(), "3 is odd");
  EXPECT_DEATH((void)quarter(4).error(), "internal error");
  EXPECT_DEATH((void)check_even(4).error(), "internal error");
}

TEST(View, CountsAndReshapes) {
  float data[24];
  const View view(data, DType::kF32, {2, 3, 4});
  EXPECT_EQ(view.size(), 24);
  EXPECT_EQ(view.rows(), 6);
  EXPECT_EQ(view.cols(), 4);
  EXPECT_EQ(view.reshaped({6, 4}).shape[0], 6);
  EXPECT_FALSE(View());
  EXPECT_EQ(View().rows(), 0);
}

TEST(ViewDeathTest, WrongTypeOrSizeIsABug) {
  int32_t ids[4] = {};
  const View view(ids, DType::kI32, {4});
  EXPECT_DEATH(view.f32(), "internal error");
  EXPECT_DEATH((void)view.reshaped({5}), "internal error");
  const Matrix matrix{ids, DType::kF32, 2, 2};
  EXPECT_EQ(matrix.row_slice(1, 1).data, ids + 2);
  EXPECT_DEATH((void)matrix.row_slice(1, 2), "internal error");
  EXPECT_DEATH((void)matrix.row_slice(-1, 1), "internal error");
}

}  // namespace
}  // namespace gemma4
