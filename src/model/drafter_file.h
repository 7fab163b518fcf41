// A drafter (Gemma4Assistant…) as a checkpoint folder or a GGUF file: its configuration, and its
// tensors under the checkpoint's names. Nothing here computes with it.
#pragma once

#include <string>

#include "base/result.h"
#include "io/safetensors.h"
#include "model/config.h"

namespace gemma4::model {

struct Drafter {
  DrafterConfig config;
  io::TensorStore store;
};

// What a path that users call a model holds. kModel stands for everything that is neither of the
// others: Model::load says what is wrong with it.
enum class CheckpointKind : uint8_t { kModel, kDrafter, kProjector };
CheckpointKind checkpoint_kind(const std::string& path);

// Opens a folder (config.json and safetensors) or a GGUF file. Every tensor that the configuration
// needs is there and has its shape, and the order of tokens holds token ids; tensors are views into
// the map. Errors name file, and tensor or key.
Result<Drafter> open_drafter(const std::string& path);

}  // namespace gemma4::model
