// The one list of the vision tower's tensors: name, shape, and the field that each fills.
#pragma once

#include <vector>

#include "model/tensor_list.h"
#include "model/vision_weights.h"

namespace gemma4::model {

// Of the tower and its projector, in the published names; needs config.vision. `weights.layers` is
// resized; targets point into `weights`.
std::vector<TensorEntry> vision_tensors(const Config& config, VisionWeights& weights);

}  // namespace gemma4::model
