// The vision tower of a checkpoint, loaded: pictures to soft tokens.
//
//   G4_ASSIGN_OR_RETURN(const VisionTower tower, VisionTower::create(config, store, device));
//   const std::vector<SoftTokens> soft = tower.encode({{pixels, {60, 39}}});
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/safetensors.h"
#include "kernels/device.h"
#include "model/placed_weights.h"
#include "model/soft_tokens.h"
#include "model/vision_forward.h"

namespace gemma4::model {

struct VisionInput {
  // [grid.size(), 3·side²] in [0, 1], in the order row, column, channel; side = patch_side()
  std::span<const float> pixels;
  PatchGrid grid;
};

class VisionTower {
 public:
  // On a CPU the tower's matrices stay in the map of `store`, which must outlive it; another device
  // gets copies and computes in float32, whatever its products round elsewhere. Errors:
  // kUnsupported for a model without a tower, kInvalidData names a tensor that is missing or
  // misshapen, kResourceExhausted where the device's memory ends.
  static Result<VisionTower> create(const Config& config, const io::TensorStore& store,
                                    std::shared_ptr<kernels::Device> device);

  // Pixels of the squares that it reads: a patch, or in the encoder-free layout a soft token.
  int64_t patch_side() const;
  // Soft tokens of a picture; both sides of the grid must be multiples of what is pooled.
  int64_t num_tokens(const PatchGrid& grid) const;
  int64_t width() const { return weights_.embedding_projection.weight.rows; }  // of a soft token
  // Patches of all pictures that share a pass; one picture may have more.
  int64_t pass_patches() const;
  const VisionConfig& config() const { return config_; }

  // [num_tokens, width()] for each picture; several share a pass of up to pass_patches(), which
  // does not change a bit of them. Not for two threads at a time, nor beside other work on the
  // device. Errors: kInvalidArgument for a picture with more patches on a side than the model has
  // positions, kResourceExhausted, kUnavailable when the device has failed.
  Result<std::vector<SoftTokens>> encode(std::span<const VisionInput> pictures,
                                         ops::Probe* probe = nullptr) const;

 private:
  VisionTower() = default;
  Status bind(const Config& config, const io::TensorStore& store);
  Status check(const VisionInput& picture) const;
  Result<std::vector<SoftTokens>> encode_pass(std::span<const VisionInput> pictures,
                                              ops::Probe* probe) const;

  std::shared_ptr<kernels::Device> device_;
  VisionConfig config_;
  VisionWeights weights_;
  PlacedWeights placed_;
  std::span<const float> inverse_frequencies_;  // [Dh/4], of both axes
};

}  // namespace gemma4::model
