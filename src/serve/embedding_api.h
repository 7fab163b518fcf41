// Requests for embeddings, in the words of OpenAI and Ollama. Pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "serve/chat_request.h"
#include "serve/keep_alive.h"

namespace gemma4::serve {

struct EmbeddingRequest {
  std::string model;  // empty: the first
  std::vector<RawPrompt> inputs;
  std::optional<int64_t> dimensions;  // only those that the model has
  std::optional<int64_t> max_tokens;  // of one input, of which more is cut off; else an error
  bool truncate = false;              // inputs longer than the context are cut, not refused
  bool normalize = true;              // to length 1
  bool base64 = false;
  std::optional<KeepAlive> keep_alive;  // of the model, afterwards
};

struct EmbeddingAnswer {
  std::string model;
  std::vector<std::vector<float>> embeddings;  // [D] of each input
  int64_t prompt_tokens = 0;
  double seconds = 0;
};

struct EmbeddingApi {
  const char* path;
  std::function<Result<EmbeddingRequest>(const json::Value& body)> parse;
  std::function<json::Value(const EmbeddingRequest&, const EmbeddingAnswer&)> write;
};

EmbeddingApi openai_embeddings();
EmbeddingApi ollama_embed();
EmbeddingApi ollama_embeddings();  // the older one: one prompt, not normalized

}  // namespace gemma4::serve
