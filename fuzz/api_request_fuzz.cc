// Bodies of requests in every protocol: the first byte says which ('0' chat, '1' completions, '2'
// messages, '3' and '4' Ollama's chat and generate, '5' responses, '6' to '8' embeddings), the rest
// is the body. It becomes a request or one clear error, and what the errors say about it is JSON
// again.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "json/json.h"
#include "serve/anthropic/messages.h"
#include "serve/embedding_api.h"
#include "serve/ollama/chat.h"
#include "serve/openai/chat.h"
#include "serve/openai/completions.h"
#include "serve/openai/responses.h"
#include "serve/protocol.h"

namespace serve = gemma4::serve;
using gemma4::json::Value;

namespace {

using serve::Protocol;

constexpr gemma4::json::ParseOptions kLimits{.max_depth = 128};

// An error of a request is the client's, with words, in the shape of its protocol.
void check_error(Protocol protocol, const gemma4::Error& reason) {
  const serve::ApiError error = serve::api_error(reason);
  G4_CHECK(error.status == 400);
  G4_CHECK(!error.message.empty());
  G4_CHECK(gemma4::json::parse(gemma4::json::dump(serve::error_body(protocol, error))).ok());
}

void check_answering(const serve::Endpoint& endpoint, const Value& body) {
  const auto request = endpoint.parse(body);
  if (!request.ok()) return check_error(endpoint.protocol, request.error());
  G4_CHECK(request.value().n >= 1 && request.value().n <= 128);
  G4_CHECK(!request.value().messages.empty() || !request.value().prompts.empty());
  G4_CHECK(!request.value().continue_last || request.value().messages.back().role == "assistant");
}

void check_embeddings(const serve::EmbeddingApi& api, const Value& body) {
  const auto request = api.parse(body);
  const bool is_ollama = std::string_view(api.path).starts_with("/api/");
  if (!request.ok())
    return check_error(is_ollama ? Protocol::kOllama : Protocol::kOpenAi, request.error());
  G4_CHECK(request.value().inputs.size() <= 2048);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // No earlier response is known.
  static const serve::openai::ResponseMemory memory{
      .find = [](const std::string&) { return std::shared_ptr<serve::ResponseTurn>(); },
      .keep = [](const std::string&, const serve::StoredResponse&) {}};
  static const serve::Endpoint endpoints[] = {
      serve::openai::chat_endpoint(), serve::openai::completions_endpoint(),
      serve::anthropic::messages_endpoint(), serve::ollama::chat_endpoint(),
      serve::ollama::generate_endpoint()};
  static const serve::EmbeddingApi embeddings[] = {
      serve::openai_embeddings(), serve::ollama_embed(), serve::ollama_embeddings()};
  constexpr size_t kAnswering = std::size(endpoints) + 1;  // and responses
  if (size == 0) return 0;
  const auto body = gemma4::json::parse(
      std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1), kLimits);
  if (!body.ok()) return 0;
  const size_t which = (data[0] + 256u - '0') % 256u % (kAnswering + std::size(embeddings));
  if (which < std::size(endpoints)) {
    check_answering(endpoints[which], body.value());
  } else if (which < kAnswering) {
    // Keeps what one request says: one for each.
    check_answering(serve::openai::responses_endpoint(memory), body.value());
  } else {
    check_embeddings(embeddings[which - kAnswering], body.value());
  }
  return 0;
}
