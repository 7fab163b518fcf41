#include "media/image_processor.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/strings.h"

namespace gemma4::media {
namespace {

constexpr int64_t kSide = kSoftTokenSide;

uint64_t hash_of(const Image& image) {
  const auto size = static_cast<uint64_t>(image.width) << 32 ^ static_cast<uint64_t>(image.height);
  return content_hash(std::as_bytes(std::span(image.rgb)), size);
}

}  // namespace

Result<ImageSize> target_size(ImageSize source, int64_t budget) {
  if (std::find(kImageBudgets.begin(), kImageBudgets.end(), budget) == kImageBudgets.end())
    return Error{ErrorCode::kInvalidArgument,
                 str_cat(budget, " soft tokens for a picture; must be 70, 140, 280, 560 or 1120")};
  G4_CHECK(source.width > 0 && source.height > 0);
  const auto width = static_cast<double>(source.width);
  const auto height = static_cast<double>(source.height);
  const int64_t pixels = kSide * kSide * budget;
  const double factor =
      std::sqrt(static_cast<double>(pixels) / static_cast<double>(source.width * source.height));
  const auto whole = [&](double side) {
    return kSide * static_cast<int64_t>(std::floor(factor * side / kSide));
  };
  ImageSize target{whole(width), whole(height)};
  // Of a picture so narrow that a side would vanish, that side gets one soft token.
  if (target.height == 0) {
    target = {std::min(kSide * (source.width / source.height), kSide * budget), kSide};
  } else if (target.width == 0) {
    target = {kSide, std::min(kSide * (source.height / source.width), kSide * budget)};
  }
  G4_CHECK(target.width > 0 && target.height > 0 && target.width * target.height <= pixels);
  return target;
}

int64_t fitting_budget(ImageSize source) {
  for (const int64_t budget : kImageBudgets) {
    const ImageSize target = target_size(source, budget).value();
    if (target.width >= source.width && target.height >= source.height) return budget;
  }
  return kImageBudgets.back();
}

Result<ProcessedImage> process_image(const Image& image, const ImageProcessing& options) {
  const ImageSize source{image.width, image.height};
  G4_ASSIGN_OR_RETURN(const ImageSize target, target_size(source, options.budget));
  ProcessedImage processed{
      .image = resize_bicubic(image, target.width, target.height, options.variant, options.pool),
      .source = source,
      .budget = options.budget};
  processed.hash = hash_of(processed.image);
  return processed;
}

std::vector<float> cut_patches(const Image& image, int64_t side) {
  G4_CHECK(image.width % side == 0 && image.height % side == 0);
  constexpr float kScale = 1.0f / 255.0f;
  const int64_t row_samples = 3 * side;
  std::vector<float> patches(image.rgb.size());
  float* to = patches.data();
  for (int64_t y = 0; y < image.height; y += side)
    for (int64_t x = 0; x < image.width; x += side)
      for (int64_t row = y; row < y + side; ++row) {
        const uint8_t* const from = image.rgb.data() + 3 * (row * image.width + x);
        for (int64_t i = 0; i < row_samples; ++i) *to++ = static_cast<float>(from[i]) * kScale;
      }
  return patches;
}

}  // namespace gemma4::media
