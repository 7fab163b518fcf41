// The audio tower's forward pass: features of one clip to soft tokens (audio.md, sections 7 to 10).
#pragma once

#include "model/audio_weights.h"
#include "model/config.h"
#include "ops/context.h"

namespace gemma4::model {

// Constants of a tower, made when it is loaded.
struct AudioConstants {
  View positions;  // [W, D]: the sinusoids of the distances 0 to W - 1
};

// features [F, bands], F >= 1 -> [ceil(F / 4), text hidden]. Probes: "audio.tower", "audio.soft".
View audio_forward(const ops::Context& ctx, const AudioConfig& config, const AudioWeights& weights,
                   const AudioConstants& constants, View features);

// The encoder-free layout: samples [T, samples of a token] -> [T, text hidden]. Probe:
// "audio.soft".
View waveform_forward(const ops::Context& ctx, const AudioWeights& weights, View samples);

}  // namespace gemma4::model
