// The sounds of the goldens: their features, what the tower makes of them, and where that stands in
// a prompt.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/verify_text.h"
#include "kernels/device.h"
#include "model/model.h"
#include "model/soft_tokens.h"

namespace gemma4::apps {

struct Heard {
  std::map<std::string, std::vector<float>> values;  // "audio.tower", "audio.soft"
  std::shared_ptr<const model::SoftTokens> soft;
};

// sound1.wav of the folder `sounds`, decoded, and encoded on `device`.
Result<Heard> hear(const model::Model& model, const std::shared_ptr<kernels::Device>& device,
                   const std::string& sounds);

// One span for each run of placeholders in `ids`, in order. kInvalidData: their number or lengths
// are others than those of `soft`.
Result<std::vector<model::SoftSpan>> place(
    const model::Model& model, std::span<const int32_t> ids,
    const std::vector<std::shared_ptr<const model::SoftTokens>>& soft);

// Holds the features and frame masks of every sound in a golden folder (features.safetensors,
// index.json) against those of this build: 1e-4 at most for each number, masks exactly.
Result<std::vector<KeyResult>> verify_features(const std::string& folder);

}  // namespace gemma4::apps
