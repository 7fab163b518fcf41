#include "model/tower_change.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/dtype.h"

namespace gemma4::model {
namespace {

enum class Direction : uint8_t { kToFile, kToCheckpoint };

int64_t product(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

// Calls move(checkpoint index, file index) for every element.
template <typename Move>
void for_each_pixel(std::span<const int64_t> shape, const Move& move) {
  const int64_t cols = shape.back();
  const int64_t pixels = cols / 3;  // s·s
  const int64_t rows = product(shape) / cols;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      for (int64_t channel = 0; channel < 3; ++channel)
        move(row * cols + pixel * 3 + channel, row * cols + channel * pixels + pixel);
}

std::vector<std::byte> reorder(TowerChange change, Direction direction,
                               std::span<const int64_t> shape, std::span<const std::byte> elements,
                               size_t element_bytes) {
  G4_CHECK_EQ(elements.size(), static_cast<size_t>(product(shape)) * element_bytes);
  std::vector<std::byte> out(elements.size());
  const auto copy = [&](int64_t checkpoint, int64_t file, size_t bytes) {
    const auto [from, to] =
        direction == Direction::kToFile ? std::pair(checkpoint, file) : std::pair(file, checkpoint);
    std::memcpy(out.data() + static_cast<size_t>(to) * bytes,
                elements.data() + static_cast<size_t>(from) * bytes, bytes);
  };
  if (change == TowerChange::kPixelOrder) {
    G4_CHECK_EQ(shape.back() % 3, 0);
    for_each_pixel(
        shape, [&](int64_t checkpoint, int64_t file) { copy(checkpoint, file, element_bytes); });
    return out;
  }
  G4_CHECK(change == TowerChange::kSwapAxes && shape.size() == 3);
  const size_t row_bytes = static_cast<size_t>(shape[2]) * element_bytes;
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j) copy(i * shape[1] + j, j * shape[0] + i, row_bytes);
  return out;
}

// Whether softplus(x) is y, give or take what float32 rounding of e^x and of the logarithm may do.
bool gives(float x, float y) {
  constexpr int64_t kUnits = 4;  // in y's last place
  const auto bits = [](float value) { return int64_t{std::bit_cast<int32_t>(value)}; };
  return std::abs(bits(softplus(x)) - bits(y)) <= kUnits;
}

}  // namespace

std::vector<std::byte> to_file_order(TowerChange change, std::span<const int64_t> shape,
                                     std::span<const std::byte> elements, size_t element_bytes) {
  return reorder(change, Direction::kToFile, shape, elements, element_bytes);
}

std::vector<std::byte> to_checkpoint_order(TowerChange change, std::span<const int64_t> shape,
                                           std::span<const std::byte> elements,
                                           size_t element_bytes) {
  return reorder(change, Direction::kToCheckpoint, shape, elements, element_bytes);
}

float softplus(float x) {
  const double wide = x;
  // Without overflow for large x, and without loss for small ones.
  return static_cast<float>(std::max(wide, 0.0) + std::log1p(std::exp(-std::abs(wide))));
}

float inverse_softplus(float y) {
  const double wide = y;
  const auto exact = static_cast<float>(wide + std::log(-std::expm1(-wide)));
  for (const float shorter : {0.0f, bf16_to_f32(f32_to_bf16(exact)), f16_to_f32(f32_to_f16(exact))})
    if (gives(shorter, y)) return shorter;
  return exact;
}

}  // namespace gemma4::model
