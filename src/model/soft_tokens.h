// Rows that a tower made of a picture, a film or a sound, and where they stand in a prompt. The
// same for all kinds of media; the kinds differ in what their rows see of each other.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/config.h"

namespace gemma4::model {

enum class MediaKind : uint8_t { kImage, kVideo, kAudio };

// Shared by requests and caches, which never change them.
struct SoftTokens {
  int64_t width = 0;          // D of the text model
  std::vector<float> values;  // [n, D]
  int64_t count() const { return width == 0 ? 0 : static_cast<int64_t>(values.size()) / width; }
};

// Soft tokens in a sequence: they stand for the embeddings of positions [position, end()), whose
// ids are placeholders. Rows of a film are one span for each frame.
struct SoftSpan {
  int64_t position = 0;
  std::shared_ptr<const SoftTokens> tokens;
  MediaKind kind = MediaKind::kImage;

  int64_t end() const { return position + tokens->count(); }
};

// Positions [begin, end) that sliding layers see as a whole, in both directions; their keys must be
// stored by one step.
struct VisionBlock {
  int64_t begin = 0;
  int64_t end = 0;
};

// What a sequence knows of its media: spans and blocks in order of position.
struct SequenceMedia {
  std::span<const SoftSpan> spans = {};
  std::span<const VisionBlock> blocks = {};
};

// Rows of one picture, frame or sound, not placed yet
struct MediaItem {
  MediaKind kind = MediaKind::kImage;
  std::shared_ptr<const SoftTokens> tokens;
};

// The spans of a prompt whose placeholders stand for `items`: those of a kind in their order, each
// one run of as many placeholders as it has rows. kInvalidArgument where they do not fit together.
Result<std::vector<SoftSpan>> place_media(const MediaTokenIds& ids, std::span<const int32_t> prompt,
                                          std::span<const MediaItem> items);

// Of spans in order of position: each longest run of image and video rows; none for models that see
// pictures causally.
std::vector<VisionBlock> vision_blocks(const TextConfig& text, std::span<const SoftSpan> spans);

// The block that `position` is in, or null. Blocks rise.
const VisionBlock* block_at(std::span<const VisionBlock> blocks, int64_t position);

// Whether `a` and `b` are the same rows: one object, or equal bits.
bool same_rows(const SoftTokens& a, const SoftTokens& b);

// What is wrong with `spans` for a prompt of these ids: kInvalidArgument for spans that are empty,
// as wide as another model, out of order, outside of the prompt or not on placeholders.
Status check_spans(const Config& config, std::span<const int32_t> prompt,
                   std::span<const SoftSpan> spans);
// kInvalidArgument for a block longer than `step_tokens`.
Status check_blocks(std::span<const VisionBlock> blocks, int64_t step_tokens);

// Of `length` positions where the ids of two prompts agree, those where their media agree too. No
// block of either is cut, since keys inside of one depend on all of it.
int64_t common_media(const SequenceMedia& old, const SequenceMedia& next, int64_t length);

}  // namespace gemma4::model
