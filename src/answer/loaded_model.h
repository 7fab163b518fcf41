// A model with everything that answering needs of it besides.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "text/tokenizer.h"

namespace gemma4::answer {

struct LoadedModel {
  std::string path;  // of its folder or file
  std::shared_ptr<const model::Model> model;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  model::GenerationDefaults generation;
  std::vector<int32_t> stop_token_ids;  // of the files, and the end markers of the chat format
  std::string template_note;  // for the user, when its chat template is another one; else empty
};

}  // namespace gemma4::answer
