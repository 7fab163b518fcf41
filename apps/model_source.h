// Where a model comes from, and everything that a conversation needs of it.
#pragma once

#include <memory>
#include <string>

#include "answer/loaded_model.h"
#include "base/result.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace gemma4::apps {

// The checkpoint folder or GGUF file that MODEL means: the argument itself, or for an empty one the
// demo model beside the program (or in the source tree it was built from). kNotFound says where was
// looked, or that a folder is no checkpoint.
Result<std::string> resolve_model(const std::string& argument);

struct ModelChoice {
  // The name of a type: matrices get the types that `gemma4 quantize --type` would give them, for
  // which there must be a device. Empty: they keep theirs.
  std::string quantize = {};
  model::ProjectorChoice projector = {};
};
// The model at `path` as resolve_model gives it, on `device`; null: its weights stay in the map.
// Shows a progress bar while it quantises. Errors: those of Model::load; kInvalidArgument, naming
// --quantize, for what is no type.
Result<model::Model> open_model(const std::string& path, std::shared_ptr<kernels::Device> device,
                                const ModelChoice& choice);

using answer::LoadedModel;
// The model is what open_model gives.
Result<LoadedModel> load_model(const std::string& argument, std::shared_ptr<kernels::Device> device,
                               const ModelChoice& choice);

// What belongs to a model, `model` being what resolve_model gives: beside the weights in a folder,
// or inside a GGUF file.

// tokenizer.json of a folder; the vocabulary of a GGUF file.
Result<text::Tokenizer> load_tokenizer(const std::string& model);

// The chat template: chat_template.jinja or the key chat_template in tokenizer_config.json; empty
// when there is none.
Result<std::string> load_template(const std::string& model);
// What to tell the user about it; empty when there is none, or the one that is rendered.
std::string load_template_note(const std::string& model);

// generation_config.json of a folder; the family's published defaults when there is none.
Result<model::GenerationDefaults> load_generation_defaults(const std::string& model);

}  // namespace gemma4::apps
