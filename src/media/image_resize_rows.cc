// Compiled once per instruction set; without vectors whose length the compiler does not know: sums
// of pixels are halves of halves.

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "media/image_resize_rows.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "media/image_resize_rows.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::media {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kChannels = 3;
constexpr int64_t kSlots =
    4;  // 32-bit numbers of a pixel in a vector: its channels and a spare one

#if HWY_TARGET == HWY_SCALAR

void columns_of(const uint8_t* row, const AxisWeights& axis, const PixelWeights&, int64_t width,
                uint8_t* out) {
  const int32_t half = axis.precision > 0 ? 1 << (axis.precision - 1) : 0;
  for (int64_t x = 0; x < width; ++x)
    for (int64_t c = 0; c < kChannels; ++c) {
      const auto at = static_cast<size_t>(x);
      int32_t sum = half;
      for (int32_t j = 0; j < axis.count[at]; ++j)
        sum += axis.of(x)[j] * row[kChannels * (axis.first[at] + j) + c];
      out[kChannels * x + c] = static_cast<uint8_t>(std::clamp(sum >> axis.precision, 0, 255));
    }
}

#else

// A vector of sums of pixels becomes one pixel of sums.
template <class D>
HWY_INLINE auto sum_of_pixels(D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(d) <= static_cast<size_t>(kSlots)) {
    return v;
  } else {
    const hn::Half<D> half;
    return sum_of_pixels(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

void columns_of(const uint8_t* row, const AxisWeights& axis, const PixelWeights& weights,
                int64_t width, uint8_t* out) {
  const hn::CappedTag<int32_t, 16> d;
  const hn::Rebind<uint8_t, decltype(d)> bytes;
  const hn::CappedTag<int32_t, kSlots> pixel;
  const hn::Rebind<uint8_t, decltype(pixel)> pixel_bytes;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t step = lanes / kSlots;  // pixels of a vector
  HWY_ALIGN uint8_t places[16];         // of the bytes of its pixels, in slots
  for (int64_t i = 0; i < 16; ++i)
    places[i] = static_cast<uint8_t>(i / kSlots * kChannels + std::min(i % kSlots, kChannels - 1));
  const auto table = hn::LoadU(bytes, places);
  const auto half = hn::Set(pixel, axis.precision > 0 ? 1 << (axis.precision - 1) : 0);
  const int32_t* weight = weights.weights.data();
  for (int64_t x = 0; x < width; ++x) {
    const uint8_t* source = row + kChannels * axis.first[static_cast<size_t>(x)];
    const int64_t count = axis.count[static_cast<size_t>(x)];
    auto sum = hn::Zero(d);
    for (int64_t j = 0; j < count; j += step) {
      const auto packed = hn::LoadU(bytes, source + kChannels * j);
      const auto pixels = hn::PromoteTo(d, hn::TableLookupBytes(packed, table));
      sum = hn::Add(sum, hn::Mul(pixels, hn::LoadU(d, weight + kSlots * j)));
    }
    weight += kSlots * weights.taps;
    const auto value = hn::ShiftRightSame(hn::Add(sum_of_pixels(d, sum), half), axis.precision);
    uint8_t rgb[kSlots];
    hn::StoreU(hn::DemoteTo(pixel_bytes, value), pixel_bytes, rgb);
    std::memcpy(out + kChannels * x, rgb, kChannels);
  }
}

#endif

void rows_of(std::span<const uint8_t* const> rows, const int32_t* weights, int precision,
             int64_t samples, uint8_t* out) {
  const auto resample = [&](auto d, int64_t i) HWY_ATTR {
    const hn::Rebind<uint8_t, decltype(d)> bytes;
    auto sum = hn::Set(d, precision > 0 ? 1 << (precision - 1) : 0);
    for (size_t j = 0; j < rows.size(); ++j) {
      const auto row = hn::PromoteTo(d, hn::LoadU(bytes, rows[j] + i));
      sum = hn::Add(sum, hn::Mul(row, hn::Set(d, weights[j])));
    }
    hn::StoreU(hn::DemoteTo(bytes, hn::ShiftRightSame(sum, precision)), bytes, out + i);
  };
  const hn::CappedTag<int32_t, 16> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= samples; i += lanes) resample(d, i);
  for (; i < samples; ++i) resample(hn::CappedTag<int32_t, 1>(), i);
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::media
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gemma4::media {

HWY_EXPORT(columns_of);
HWY_EXPORT(rows_of);

PixelWeights pixel_weights(const AxisWeights& axis) {
  constexpr int64_t kMostPixels = 4;  // of a vector, on any instruction set
  constexpr int64_t kCopies = 4;
  PixelWeights result;
  result.taps = (axis.taps + kMostPixels - 1) / kMostPixels * kMostPixels;
  const auto outputs = static_cast<int64_t>(axis.first.size());
  result.weights.resize(static_cast<size_t>(outputs * result.taps * kCopies));
  for (int64_t i = 0; i < outputs; ++i)
    for (int64_t j = 0; j < axis.count[static_cast<size_t>(i)]; ++j)
      std::fill_n(result.weights.begin() + (i * result.taps + j) * kCopies, kCopies, axis.of(i)[j]);
  return result;
}

void resample_columns_of(const uint8_t* row, const AxisWeights& axis, const PixelWeights& weights,
                         int64_t width, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(columns_of)(row, axis, weights, width, out);
}

void resample_rows_of(std::span<const uint8_t* const> rows, const int32_t* weights, int precision,
                      int64_t samples, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(rows_of)(rows, weights, precision, samples, out);
}

}  // namespace gemma4::media
#endif
