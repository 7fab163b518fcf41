#include "apps/boxes.h"

#include <gtest/gtest.h>

namespace gemma4::apps {
namespace {

TEST(Boxes, CoordinatesOfTheGridBecomePixels) {
  const auto boxes = parse_boxes(
      "Here [they] are:\n```json\n[{\"box_2d\": [171, 75, 245, 308], \"label\": \"a [cat]\"}, "
      "{\"box_2d\": [900, 1200, 500, -3]}]\n```",
      {2000, 1000});
  ASSERT_TRUE(boxes.ok()) << boxes.error().message;
  ASSERT_EQ(boxes.value().size(), 2u);
  const Box& cat = boxes.value()[0];
  EXPECT_EQ(cat.label, "a [cat]");
  EXPECT_DOUBLE_EQ(cat.y0, 171);
  EXPECT_DOUBLE_EQ(cat.x0, 150);
  EXPECT_DOUBLE_EQ(cat.y1, 245);
  EXPECT_DOUBLE_EQ(cat.x1, 616);
  // Corners in order, and inside of the picture.
  EXPECT_EQ(json::dump(to_json({boxes.value()[1]})),
            "[{\"label\":\"\",\"x0\":0,\"y0\":500,\"x1\":2000,\"y1\":900}]");
  EXPECT_TRUE(parse_boxes("[]", {10, 10}).value().empty());
}

TEST(Boxes, WhatIsNoListOfBoxesIsAnError) {
  for (const char* answer : {"", "I see nothing.", "[1, 2]", "[{\"box_2d\": [1, 2, 3]}]",
                             "[{\"box_2d\": [1, 2, 3, \"4\"]}]", "[{\"label\": \"x\"}]", "[{"})
    EXPECT_FALSE(parse_boxes(answer, {10, 10}).ok()) << answer;
}

TEST(Boxes, FramesAreDrawnInsideThePicture) {
  media::Image image{20, 10, std::vector<uint8_t>(600, 0)};
  draw_boxes({{"", 2, 1, 18, 9}, {"", 0, 0, 20, 10}}, image);
  const auto pixel = [&](int64_t x, int64_t y) {
    return image.rgb[static_cast<size_t>(3 * (y * 20 + x))];
  };
  EXPECT_EQ(pixel(3, 2), 230);  // the first frame, not yet covered by the second
  EXPECT_EQ(pixel(0, 0), 60);
  EXPECT_EQ(pixel(19, 9), 60);
  EXPECT_EQ(pixel(10, 5), 0);
}

}  // namespace
}  // namespace gemma4::apps
