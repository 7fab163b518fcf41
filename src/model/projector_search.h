// Which projector file belongs to a GGUF text model: users have it in the same folder, under a name
// with "mmproj" in it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace gemma4::model {

struct ProjectorChoice {
  enum class Kind : uint8_t { kBeside, kNone, kFile };
  Kind kind = Kind::kBeside;
  std::string path;  // kFile: this one, or none
};

struct FoundProjector {
  std::string path;  // empty: there is none
  std::string note;  // for the user: what lies beside the model and was not taken; else empty
};

// Looks beside `model_path`: for mmproj-NAME.gguf, NAME.gguf being the model, else for the one
// *mmproj*.gguf that puts out vectors of `hidden_size`. kInvalidArgument, naming them all, where
// several do.
Result<FoundProjector> find_projector(const std::string& model_path, int64_t hidden_size);

// The file name that find_projector looks for first.
std::string projector_path_of(const std::string& model_path);

}  // namespace gemma4::model
