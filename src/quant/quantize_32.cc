// Q4_0, Q8_0, IQ4_NL: 32 elements with one scale.

#include <algorithm>
#include <array>

#include "quant/grid.h"
#include "quant/quantize_blocks.h"
#include "quant/scale_search.h"

namespace gemma4::quant {
namespace {

// The element with the largest magnitude, the first of several.
float extreme_of(const float* x) {
  int32_t largest = 0;  // bits of magnitudes: they order as the numbers do
  for (int j = 0; j < kSmallBlock; ++j)
    largest = std::max(largest, std::bit_cast<int32_t>(x[j]) & 0x7fffffff);
  const float magnitude = std::bit_cast<float>(largest);
  const float* first =
      std::find_if(x, x + kSmallBlock, [&](float v) { return std::abs(v) == magnitude; });
  return *first;
}

// How a type is searched and written. Levels are the integers that its scale is multiplied with.
struct Q4_0 {
  using Block = BlockQ4_0;
  using Levels = IntegerLevels<-8, 7>;
  static constexpr LevelSet kSet = LevelSet::interval(-8, 7);
  static constexpr float kReach = 0.2f;
  static constexpr int kSteps = 12;

  // The extreme element becomes -8, as in ggml, also where 7 would serve the others better.
  static float plain_scale(float extreme) { return extreme / -8; }
  static int plain_level(float multiple) {
    return std::min(15, static_cast<int>(multiple + 8.5f)) - 8;
  }
  static void write(const int8_t* levels, Block* out) {
    for (int j = 0; j < 16; ++j)
      out->s[j] = static_cast<uint8_t>((levels[j] + 8) | (levels[j + 16] + 8) << 4);
  }
};

struct Q8_0 {
  using Block = BlockQ8_0;
  using Levels = IntegerLevels<-127, 127>;
  static constexpr LevelSet kSet = LevelSet::interval(-128, 127);
  static constexpr float kReach = 0.01f;
  static constexpr int kSteps = 8;

  static float plain_scale(float extreme) { return std::abs(extreme) / 127; }
  // Halves go away from zero.
  static int plain_level(float multiple) {
    const int whole = static_cast<int>(multiple);
    const float rest = multiple - static_cast<float>(whole);
    return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
  }
  static void write(const int8_t* levels, Block* out) { std::copy_n(levels, kSmallBlock, out->q); }
};

struct IQ4Levels {
  static constexpr float kExtreme = kIQ4Levels[0];
  static Lanes nearest(Lanes v) {
    Lanes level = splat(kExtreme);
    for (int k = 1; k < 16; ++k) {
      const float step = static_cast<float>(kIQ4Levels[k]) - static_cast<float>(kIQ4Levels[k - 1]);
      const float middle = static_cast<float>(kIQ4Levels[k]) - step / 2;
      level += select(v > splat(middle), splat(step), splat(0));
    }
    return level;
  }
};

struct IQ4_NL {
  using Block = BlockIQ4_NL;
  using Levels = IQ4Levels;
  static constexpr LevelSet kSet = LevelSet::list(kIQ4Levels);
  static constexpr float kReach = 0.2f;
  static constexpr int kSteps = 5;

  static int code(int8_t level) {
    return static_cast<int>(std::lower_bound(kIQ4Levels, kIQ4Levels + 16, level) - kIQ4Levels);
  }
  static void write(const int8_t* levels, Block* out) {
    for (int j = 0; j < 16; ++j)
      out->s[j] = static_cast<uint8_t>(code(levels[j]) | code(levels[j + 16]) << 4);
  }
};

bool gives(uint16_t d, const int8_t* levels, const float* x) {
  const float scale = f16_to_f32(d);
  return std::equal(levels, levels + kSmallBlock, x,
                    [&](int8_t level, float v) { return scale * static_cast<float>(level) == v; });
}

template <typename Type>
void write_grid(const Grid& grid, typename Type::Block* out) {
  out->d = grid.d;
  Type::write(grid.levels.data(), out);
}

// The grid before its values were rounded to bf16, which has to leave levels apart.
template <typename Type>
std::optional<Grid> find_blurred_grid(const float* x) {
  if (Type::kSet.largest() > 16) return std::nullopt;
  return find_grid_of_bf16(x, Type::kSet);
}

// ggml's reference quantiser: the scale follows from the extreme element, and levels are found with
// the scale before it is rounded.
template <typename Type>
void quantize_plainly(const float* x, typename Type::Block* out) {
  const float d = Type::plain_scale(extreme_of(x));
  const float per_d = std::abs(d) < 0x1p-120f ? 0 : 1 / d;  // so small: zeros
  int8_t levels[kSmallBlock];
  for (int j = 0; j < kSmallBlock; ++j)
    levels[j] = static_cast<int8_t>(Type::plain_level(x[j] * per_d));
  out->d = to_f16_scale(d);
  // These bytes come before those of any other grid if they are exact, or have the levels of a grid
  // that rounding to bf16 has blurred.
  if (const auto grid = find_grid(x, Type::kSet)) {
    if (!gives(out->d, levels, x)) return write_grid<Type>(*grid, out);
  } else if (const auto blurred = find_blurred_grid<Type>(x)) {
    if (!std::equal(levels, levels + kSmallBlock, blurred->levels.data()))
      return write_grid<Type>(*blurred, out);
  }
  Type::write(levels, out);
}

// As many blocks as there are lanes, or fewer, with searched scales.
template <typename Type>
void quantize_group(const LaneGroup<kSmallBlock>& group, int num_blocks,
                    typename Type::Block* out) {
  const Lanes scales = search_scales<typename Type::Levels>(group, Type::kReach, Type::kSteps);
  Lanes written;
  for (int b = 0; b < kLanes; ++b) written[b] = rounded_to_f16(scales[b]);
  const Lanes per_scale = inverse(written);
  int8_t levels[kLanes][kSmallBlock];
  for (int j = 0; j < kSmallBlock; ++j) {
    const Lanes level = Type::Levels::nearest(group.x[j] * per_scale);
    for (int b = 0; b < kLanes; ++b) levels[b][j] = static_cast<int8_t>(level[b]);
  }
  for (int b = 0; b < num_blocks; ++b) {
    out[b].d = to_f16_scale(scales[b]);
    Type::write(levels[b], &out[b]);
  }
}

// x[j] of block `index`, tamed.
template <typename Type>
void load_block(const float* row, int64_t index, float* x) {
  constexpr float kLargest = kLargestF16 * static_cast<float>(Type::kSet.largest());
  for (int j = 0; j < kSmallBlock; ++j) x[j] = tame(row[index * kSmallBlock + j], kLargest);
}

template <typename Type>
void quantize_plain_row(const float* row, int64_t count, typename Type::Block* out) {
  for (int64_t i = 0; i < count / kSmallBlock; ++i) {
    float x[kSmallBlock];
    load_block<Type>(row, i, x);
    quantize_plainly<Type>(x, &out[i]);
  }
}

template <typename Type>
void quantize_searched_row(const float* row, int64_t count, const float* importance,
                           typename Type::Block* out) {
  const int64_t num_blocks = count / kSmallBlock;
  for (int64_t first = 0; first < num_blocks; first += kLanes) {
    const int in_group = static_cast<int>(std::min<int64_t>(kLanes, num_blocks - first));
    LaneGroup<kSmallBlock> group{};
    std::optional<Grid> grids[kLanes];
    for (int b = 0; b < in_group; ++b) {
      float x[kSmallBlock], w[kSmallBlock];
      load_block<Type>(row, first + b, x);
      weights_of(importance == nullptr ? nullptr : importance + (first + b) * kSmallBlock,
                 kSmallBlock, w);
      group.fill_lane(b, x, w);
      grids[b] = find_grid(x, Type::kSet);
      if (!grids[b]) grids[b] = find_blurred_grid<Type>(x);
    }
    quantize_group<Type>(group, in_group, out + first);
    for (int b = 0; b < in_group; ++b)
      if (grids[b]) write_grid<Type>(*grids[b], &out[first + b]);
  }
}

}  // namespace

void quantize_q4_0(const float* row, int64_t count, const float* importance, BlockQ4_0* out) {
  if (importance == nullptr) return quantize_plain_row<Q4_0>(row, count, out);
  quantize_searched_row<Q4_0>(row, count, importance, out);
}
void quantize_q8_0(const float* row, int64_t count, const float* importance, BlockQ8_0* out) {
  if (importance == nullptr) return quantize_plain_row<Q8_0>(row, count, out);
  quantize_searched_row<Q8_0>(row, count, importance, out);
}
void quantize_iq4_nl(const float* row, int64_t count, const float* importance, BlockIQ4_NL* out) {
  quantize_searched_row<IQ4_NL>(row, count, importance, out);
}

}  // namespace gemma4::quant
