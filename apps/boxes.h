// Objects that a model found in a picture: read from its answer, in pixels, and drawn.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "media/image.h"
#include "media/image_processor.h"

namespace gemma4::apps {

struct Box {
  std::string label;                      // may be empty
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // pixels of the picture, x to the right, y down
};

// The first list of [{"box_2d": [y0, x0, y1, x1], "label": …}, …] in `answer`, which may stand in
// other text; coordinates are on a grid of 1000 x 1000 over a picture of `size`. Corners are put in
// order and kept inside. kInvalidData where there is no such list, naming what is wrong with it.
Result<std::vector<Box>> parse_boxes(std::string_view answer, media::ImageSize size);

// [{"label": …, "x0": …, "y0": …, "x1": …, "y1": …}, …]
json::Value to_json(const std::vector<Box>& boxes);

// Frames of a few pixels in alternating colours.
void draw_boxes(const std::vector<Box>& boxes, media::Image& image);

}  // namespace gemma4::apps
