// Sound in the form that the tower of a model reads.
#pragma once

#include <span>
#include <vector>

#include "model/audio_tower.h"

namespace gemma4::answer {

// Log-mel features, or the samples themselves, filled up with silence to whole tokens. `samples` at
// 16 kHz. kInvalidArgument when they are too few for one token.
Result<std::vector<float>> audio_input(const model::AudioTower& tower,
                                       std::span<const float> samples);

}  // namespace gemma4::answer
