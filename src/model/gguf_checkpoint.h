// A text model in GGUF as if it were a checkpoint folder: its configuration, and its tensors under
// the checkpoint's names (docs/adr/0018-gguf-models.md).
#pragma once

#include <string>

#include "base/result.h"
#include "io/safetensors.h"
#include "model/config.h"

namespace gemma4::model {

struct GgufCheckpoint {
  Config config;
  io::TensorStore store;
};

// Opens `path`, or all parts of a split model when it names one. Tensors are views into the map;
// only experts whose gate and up are stored apart are copied together. Every tensor that the
// configuration needs is there and has its shape. Errors name file, and tensor or key.
Result<GgufCheckpoint> open_gguf_checkpoint(const std::string& path);

}  // namespace gemma4::model
