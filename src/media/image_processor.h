// What the vision tower reads of a picture: how many soft tokens it becomes, its pixels at that
// size, and patches of them. The size follows the reference in its order of operations: every step
// rounds in double precision.
//
//   G4_ASSIGN_OR_RETURN(const ProcessedImage seen, process_image(image, {.budget = 280}));
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "media/image.h"
#include "media/image_resize.h"

namespace gemma4::media {

// Soft tokens that a picture may have at most; any of them works with every model.
inline constexpr std::array<int64_t, 5> kImageBudgets = {70, 140, 280, 560, 1120};
inline constexpr int64_t kDefaultImageBudget = 280;
inline constexpr int64_t kPatchSide = 16;      // pixels
inline constexpr int64_t kSoftTokenSide = 48;  // pixels of a soft token, 3 x 3 patches

struct ImageSize {
  int64_t width = 0;
  int64_t height = 0;
  int64_t patches() const { return width / kPatchSide * (height / kPatchSide); }
  int64_t soft_tokens() const { return width / kSoftTokenSide * (height / kSoftTokenSide); }
  bool operator==(const ImageSize&) const = default;
};

// The size at which the model sees a picture of this size: both sides multiples of 48 that fill the
// budget, also where that makes it larger. kInvalidArgument for another budget.
Result<ImageSize> target_size(ImageSize source, int64_t budget);

// The smallest budget that does not reduce such a picture; the largest where all do.
int64_t fitting_budget(ImageSize source);

struct ImageProcessing {
  int64_t budget = kDefaultImageBudget;
  ResizeVariant variant = ResizeVariant::kTorchvision;
  ThreadPool* pool = nullptr;
};

struct ProcessedImage {
  Image image;       // at the size that the model sees
  ImageSize source;  // before
  int64_t budget = 0;
  uint64_t hash = 0;  // of size and pixels of `image`; equal pictures have equal ones

  ImageSize size() const { return {image.width, image.height}; }
  // Whether the model sees less than the picture has: the caller may want a larger budget.
  bool reduced() const { return image.width < source.width || image.height < source.height; }
};

Result<ProcessedImage> process_image(const Image& image, const ImageProcessing& options);

// Squares of `side` pixels, which divides both sides, in raster order, as [N, side · side · 3] in
// [0, 1]; inside of one in the order row, column, channel.
std::vector<float> cut_patches(const Image& image, int64_t side);

}  // namespace gemma4::media
