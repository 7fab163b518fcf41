// What a client asks for, whichever protocol it speaks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "answer/answer_form.h"
#include "chat/messages.h"
#include "serve/keep_alive.h"

namespace gemma4::serve {

// What is not set is the model's default.
struct SamplingChoice {
  std::optional<float> temperature, top_p, min_p;
  std::optional<int32_t> top_k;
  std::optional<float> repetition_penalty, presence_penalty, frequency_penalty;
  std::vector<std::pair<int32_t, float>> logit_bias;
  std::optional<uint64_t> seed;  // else a fresh one
};

// Text, or ids as they are.
using RawPrompt = std::variant<std::string, std::vector<int32_t>>;

struct ChatRequest {
  std::string model;                    // empty: the first
  std::optional<KeepAlive> keep_alive;  // of the model, after the answer
  // There is no prompt: the model is to be loaded, or with a keep_alive of nothing given back.
  bool only_loads = false;

  // A conversation; or several that are answered each for itself; or raw prompts (without the chat
  // format). Of the last two there is one at least then.
  std::vector<chat::Message> messages;
  std::vector<std::vector<chat::Message>> conversations;
  std::vector<RawPrompt> prompts;
  bool echo = false;  // raw: the answer begins with its prompt

  answer::FormOptions form;
  answer::FormNames names;  // that this protocol has for the parts of `form`
  bool thinking = false;
  bool continue_last = false;      // the last message is an assistant's, which the answer continues
  bool preserve_thinking = false;  // as chat::RenderOptions has it

  SamplingChoice sampling;
  std::vector<std::string> stop;
  std::optional<int64_t> max_tokens;   // else what the context leaves
  std::optional<int64_t> min_context;  // that the client counts on
  int n = 1;                           // answers to each prompt
  std::optional<int> num_logprobs;     // of the most probable tokens beside the one chosen

  bool stream = false;
  bool include_usage = false;  // in a stream
  bool plain_text = false;     // of a transcription: not as JSON
};

}  // namespace gemma4::serve
