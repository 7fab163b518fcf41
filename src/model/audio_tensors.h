// The list of the audio tower's tensors, in the published names, and of its projector.
#pragma once

#include <vector>

#include "model/audio_weights.h"
#include "model/config.h"
#include "model/tensor_list.h"

namespace gemma4::model {

// `weights.layers` is resized; targets point into `weights`. `config` has audio.
std::vector<TensorEntry> audio_tensors(const Config& config, AudioWeights& weights);

}  // namespace gemma4::model
