// The vision tower's forward pass, over any number of pictures at once: patches to soft tokens.
// Source: vision.md, sections 8 to 13; the encoder-free layout: multimodal-prompt.md, section 9.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/device.h"
#include "model/config.h"
#include "model/vision_weights.h"

namespace gemma4::model {

// A picture at the size at which the model sees it, in patches.
struct PatchGrid {
  int64_t cols = 0;
  int64_t rows = 0;
  int64_t size() const { return cols * rows; }
};

// Patches whose keys and values lie together: more than tokens in the decoder's cache, as all are
// there at once, so that a softmax step is of many keys.
inline constexpr int64_t kPatchBlock = 256;

// The rows of one pass: patches of all pictures, one picture after the other.
struct VisionBatch {
  View pixels;                     // [N, 3·side²]; in [-1, 1], encoder-free in [0, 1]
  std::vector<PatchGrid> grids;    // of the pictures
  std::vector<int32_t> positions;  // [2, N]: columns, then rows
  std::array<std::vector<int32_t>, 2> table_rows;  // [N] of the position table: axis x, axis y
  // The patches of a picture are a sequence of keys, in blocks of their own.
  std::vector<int32_t> key_begin, key_end, sequence, slots;  // [N]
  std::vector<int32_t> table_offset, table_first;            // [pictures]
  std::vector<int32_t> block_table;
};

// Without pixels, but with their shape.
VisionBatch vision_batch(const VisionConfig& config, std::span<const PatchGrid> grids);

// As VisionBatch, where kernels can read it; the grids are the batch's own.
struct VisionInputs {
  View pixels;
  std::span<const PatchGrid> grids;
  std::span<const int32_t> positions;
  std::array<std::span<const int32_t>, 2> table_rows;
  std::span<const int32_t> key_begin, key_end, sequence, slots;
  std::span<const int32_t> table_offset, table_first;
  std::span<const int32_t> block_table;
};

// Views into `batch`.
VisionInputs host_inputs(const VisionBatch& batch);
// Copies in memory of the device, which is taken over by `memory`. Errors: kResourceExhausted.
Result<VisionInputs> device_inputs(const VisionBatch& batch, kernels::Device& device,
                                   kernels::Device::Memory& memory);

// -> [S, text hidden] in the step arena, pictures one after the other. Probes: "vision.embedded",
// "vision.layer" after each, "vision.tower" before the projector, "vision.soft".
View vision_forward(const ops::Context& ctx, const VisionConfig& config,
                    const VisionWeights& weights, std::span<const float> inverse_frequencies,
                    const VisionInputs& inputs);

}  // namespace gemma4::model
