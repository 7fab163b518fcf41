// A model that requests may name, with all that answering from it needs.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "answer/answer_form.h"
#include "answer/loaded_model.h"
#include "answer/media_reader.h"
#include "answer/prompt.h"
#include "base/result.h"
#include "chat/output_parser.h"
#include "serve/token_source.h"

namespace gemma4::serve {

struct ModelParts {
  std::string name;
  answer::LoadedModel loaded;
  std::unique_ptr<TokenSource> source;
  // Where towers run: a device that the engine does not use at the same time.
  std::shared_ptr<kernels::Device> tower_device;
  int64_t context_tokens = 0;
  int64_t image_budget = 280;  // soft tokens of a picture; 0: what fits it
  answer::FilmOptions film;
  answer::MediaLimits media_limits;
};

// What is said about a model, also while it is not loaded.
struct ModelFacts {
  std::string name;
  std::string path;  // of its folder or file
  model::Config config;
  answer::MediaLimits media_limits;
  int64_t context_tokens = 0;
  int64_t created = 0;  // seconds since 1970
};

class ServedModel {
 public:
  // kInvalidData: the vocabulary lacks the markers of the chat format.
  static Result<std::unique_ptr<ServedModel>> create(ModelParts parts);

  const std::string& name() const { return parts_.name; }
  const answer::LoadedModel& loaded() const { return parts_.loaded; }
  const chat::Markers& markers() const { return markers_; }
  TokenSource& source() const { return *parts_.source; }
  answer::FormCompiler& forms() { return forms_; }
  int64_t context_tokens() const { return parts_.context_tokens; }
  ModelFacts facts() const;

  // Reads all media of `messages`, in order; the sound of a film joins its message as a
  // part of its own. Errors name the message. One request at a time.
  Result<std::vector<answer::PreparedMedia>> read_media(std::vector<chat::Message>& messages);
  // answer::encode_prompt, with `media` as read_media gave them.
  Result<answer::Prompt> encode(std::vector<chat::PromptPart> parts,
                                const std::vector<answer::PreparedMedia>& media);

 private:
  ServedModel(ModelParts parts, chat::Markers markers);
  Status read_message(chat::Message& message, const std::string& path,
                      std::vector<answer::PreparedMedia>& media);

  ModelParts parts_;
  chat::Markers markers_;
  answer::FormCompiler forms_;
  std::mutex media_mutex_;
  answer::MediaReader media_;  // guarded by it
  int64_t created_;
};

}  // namespace gemma4::serve
