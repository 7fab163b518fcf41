// A projector file (mmproj) as if its tensors stood in a checkpoint folder: the configuration of
// the vision and audio towers, and their tensors under the published names (docs/adr/0021).
#pragma once

#include <string>

#include "base/result.h"
#include "io/safetensors.h"
#include "model/config.h"

namespace gemma4::model {

struct Projector {
  Config config;  // vision, audio, model_type; text.hidden_size is that of its text model
  io::TensorStore store;
};

// Opens `path`, or all parts of a split file. Every tensor of the list is there, has its published
// shape, and the checkpoint's elements in their order: what the file changed is undone, in copies;
// all other tensors are views into the map, in their stored type. Errors name file, and tensor or
// key: besides those of read_projector_config, tensors that are missing, misshapen or not Gemma's.
Result<Projector> open_projector(const std::string& path);

}  // namespace gemma4::model
