// /v1/responses of the OpenAI API.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "serve/protocol.h"
#include "serve/response_store.h"

namespace gemma4::serve::openai {

// What one request may know of others.
struct ResponseMemory {
  // The turn of an earlier response of the same owner; null: there is none.
  std::function<std::shared_ptr<ResponseTurn>(const std::string& id)> find;
  // Called once, when a response that is to be stored is complete.
  std::function<void(const std::string& id, StoredResponse response)> keep;
};

// For one request: what its body says besides the conversation is told again by its answer.
Endpoint responses_endpoint(const ResponseMemory& memory);

}  // namespace gemma4::serve::openai
