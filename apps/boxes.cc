#include "apps/boxes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/strings.h"

namespace gemma4::apps {
namespace {

constexpr double kGrid = 1000;

Error invalid(const std::string& problem) {
  return {ErrorCode::kInvalidData, "the answer has no boxes: " + problem};
}

// The bracketed text that begins at `begin`; empty where it is not closed.
std::string_view bracketed(std::string_view text, size_t begin) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = begin; i < text.size(); ++i) {
    if (in_string) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        in_string = false;
    } else if (text[i] == '"') {
      in_string = true;
    } else if (text[i] == '[' || text[i] == '{') {
      ++depth;
    } else if ((text[i] == ']' || text[i] == '}') && --depth == 0) {
      return text.substr(begin, i + 1 - begin);
    }
  }
  return {};
}

// The list of objects in the answer: the first '[' that begins one, in a fence or not. Of nothing
// found the answer is "[]".
std::optional<json::Value> find_list(std::string_view answer) {
  constexpr int kTries = 16;  // each reads on to the end
  size_t begin = answer.find('[');
  for (int i = 0; i < kTries && begin != answer.npos; ++i, begin = answer.find('[', begin + 1)) {
    const std::string_view text = bracketed(answer, begin);
    if (text.empty()) continue;
    auto value = json::parse(text);
    if (!value.ok() || !value.value().is_array()) continue;
    const json::Value::Array& list = value.value().as_array();
    if (list.empty() || list.front().is_object()) return std::move(value).value();
  }
  return std::nullopt;
}

Result<Box> parse_box(const json::Value& entry, media::ImageSize size) {
  const json::Value* const box = entry.find("box_2d");
  if (box == nullptr || !box->is_array() || box->as_array().size() != 4)
    return invalid("\"box_2d\" is not a list of four numbers");
  std::array<double, 4> numbers{};
  for (size_t i = 0; i < numbers.size(); ++i) {
    const json::Value& number = box->as_array()[i];
    if (!number.is_number()) return invalid("\"box_2d\" is not a list of four numbers");
    numbers[i] = std::clamp(number.as_number().as_double(), 0.0, kGrid) / kGrid;
  }
  const json::Value* const label = entry.find("label");
  const auto width = static_cast<double>(size.width), height = static_cast<double>(size.height);
  const auto [y0, x0, y1, x1] = numbers;
  return Box{.label = label != nullptr && label->is_string() ? label->as_string() : "",
             .x0 = std::min(x0, x1) * width,
             .y0 = std::min(y0, y1) * height,
             .x1 = std::max(x0, x1) * width,
             .y1 = std::max(y0, y1) * height};
}

using Colour = std::array<uint8_t, 3>;

void fill(media::Image& image, int64_t x0, int64_t y0, int64_t x1, int64_t y1, Colour colour) {
  for (int64_t y = std::max<int64_t>(y0, 0); y < std::min(y1, image.height); ++y)
    for (int64_t x = std::max<int64_t>(x0, 0); x < std::min(x1, image.width); ++x)
      std::copy(colour.begin(), colour.end(), image.rgb.data() + 3 * (y * image.width + x));
}

}  // namespace

Result<std::vector<Box>> parse_boxes(std::string_view answer, media::ImageSize size) {
  const std::optional<json::Value> list = find_list(answer);
  if (!list) return invalid("there is no JSON list of objects in it");
  std::vector<Box> boxes;
  for (const json::Value& entry : list->as_array()) {
    G4_ASSIGN_OR_RETURN(Box box, parse_box(entry, size));
    boxes.push_back(std::move(box));
  }
  return boxes;
}

json::Value to_json(const std::vector<Box>& boxes) {
  json::Value::Array list;
  const auto pixel = [](double v) { return json::Value(static_cast<int64_t>(std::lround(v))); };
  for (const Box& box : boxes)
    list.push_back(json::Value::Object{{"label", box.label},
                                       {"x0", pixel(box.x0)},
                                       {"y0", pixel(box.y0)},
                                       {"x1", pixel(box.x1)},
                                       {"y1", pixel(box.y1)}});
  return list;
}

void draw_boxes(const std::vector<Box>& boxes, media::Image& image) {
  constexpr std::array<Colour, 6> kColours = {{{230, 25, 75},
                                               {60, 180, 75},
                                               {255, 225, 25},
                                               {0, 130, 200},
                                               {245, 130, 48},
                                               {240, 50, 230}}};
  const int64_t thick = std::max<int64_t>(2, std::max(image.width, image.height) / 300);
  for (size_t i = 0; i < boxes.size(); ++i) {
    const Colour colour = kColours[i % kColours.size()];
    const int64_t x0 = std::lround(boxes[i].x0), x1 = std::lround(boxes[i].x1);
    const int64_t y0 = std::lround(boxes[i].y0), y1 = std::lround(boxes[i].y1);
    fill(image, x0, y0, x1, y0 + thick, colour);
    fill(image, x0, y1 - thick, x1, y1, colour);
    fill(image, x0, y0, x0 + thick, y1, colour);
    fill(image, x1 - thick, y0, x1, y1, colour);
  }
}

}  // namespace gemma4::apps
