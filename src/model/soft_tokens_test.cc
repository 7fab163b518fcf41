// Where two prompts with pictures part.

#include "model/soft_tokens.h"

#include <gtest/gtest.h>

namespace gemma4::model {
namespace {

std::shared_ptr<const SoftTokens> rows(int64_t count, float value) {
  return std::make_shared<SoftTokens>(
      SoftTokens{.width = 1, .values = std::vector<float>(static_cast<size_t>(count), value)});
}

TEST(CommonMedia, EndsBeforeTheFirstPictureThatIsAnother) {
  const std::vector<SoftSpan> a = {{5, rows(4, 1)}, {20, rows(4, 2)}};
  const std::vector<SoftSpan> same = {{5, rows(4, 1)}, {20, rows(4, 2)}};
  const std::vector<SoftSpan> other = {{5, rows(4, 1)}, {20, rows(4, 3)}};
  EXPECT_EQ(common_media({a}, {same}, 30), 30);
  EXPECT_EQ(common_media({a}, {other}, 30), 20);
  EXPECT_EQ(common_media({other}, {a}, 30), 20);
  EXPECT_EQ(common_media({a}, {}, 30), 5);
  EXPECT_EQ(common_media({}, {a}, 3), 3);
}

// Rows of pictures side by side see each other: without the second, the first is another one.
TEST(CommonMedia, CutsNoBlockOfEither) {
  TextConfig text;
  text.bidirectional_vision = true;
  const std::vector<SoftSpan> one = {{5, rows(4, 1)}};
  const std::vector<SoftSpan> two = {{5, rows(4, 1)}, {9, rows(4, 2)}};
  const auto one_block = vision_blocks(text, one), two_blocks = vision_blocks(text, two);
  const SequenceMedia first{one, one_block}, both{two, two_blocks};
  EXPECT_EQ(common_media(first, both, 9), 5);
  EXPECT_EQ(common_media(both, first, 9), 5);
  EXPECT_EQ(common_media(both, both, 11), 5);
  EXPECT_EQ(common_media(both, both, 13), 13);
  EXPECT_EQ(common_media(first, first, 9), 9);
}

}  // namespace
}  // namespace gemma4::model
