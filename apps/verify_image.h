// The pictures of the goldens: their sizes and pixels, what the tower makes of them, and where that
// stands in a prompt.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apps/verify_text.h"
#include "kernels/device.h"
#include "model/model.h"
#include "model/soft_tokens.h"

namespace gemma4::apps {

// The pictures behind the image keys, source0.png and source1.png of a folder, at 70 soft tokens
// each; of the encoder-free layout source1.png alone. The tower runs on `device`.
struct Seen {
  std::map<std::string, std::vector<float>> values;  // "image.tower0", "image.soft0" …
  std::vector<model::MediaItem> items;
};
Result<Seen> see(const model::Model& model, const std::shared_ptr<kernels::Device>& device,
                 const std::string& pictures);

// Holds sizes, patches, soft tokens and pixels of every picture in a golden folder (index.json)
// against those of this build. Pixels of Pillow must be equal; of those of torchvision at most 1.5
// % may be off, by two at most.
Result<std::vector<KeyResult>> verify_pictures(const std::string& folder);

}  // namespace gemma4::apps
