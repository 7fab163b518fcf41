// The one list of a checkpoint's tensors: name, shape, and the field it fills. Loading, checking,
// `info` and `synth` all walk this list, so they cannot disagree.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "io/safetensors.h"
#include "model/config.h"
#include "model/weights.h"

namespace gemma4::model {

// Where a tensor goes: a matrix in the map, a vector converted to float32, or one number.
using TensorTarget = std::variant<std::monostate, Matrix*, const float**, float*>;

struct TensorEntry {
  std::string name;            // as in the checkpoint
  std::vector<int64_t> shape;  // row-major
  TensorTarget target;
};

// The prefix that the reference gives text tensors: "model.language_model." or, text only,
// "model.".
std::string default_text_prefix(const Config& config);

// All tensors of the text decoder. `weights.layers` is resized and planned; targets point into
// `weights`. Tensors that checkpoints may carry but nothing reads (K and V of shared layers) are
// not listed.
std::vector<TensorEntry> text_tensors(const Config& config, const std::string& prefix,
                                      TextWeights& weights);

// All tensors of the vision and audio towers and their projectors, in the published names.
std::vector<TensorEntry> tower_tensors(const Config& config);

// Gives tensors of the towers their published names: newer versions of the reference save some
// under others, and some writers leave "model." out.
void publish_tower_names(const Config& config, io::TensorStore& store);
// Whether a tensor is there, with its shape and a type that its target takes; kInvalidData.
Status check_tensor(const TensorEntry& entry, const io::TensorStore& store);
// The first tensor of the towers that is missing or misshapen, as an error.
Status check_towers(const Config& config, const io::TensorStore& store);

}  // namespace gemma4::model
