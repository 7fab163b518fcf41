// Bodies of requests in every protocol: the first byte says which, the rest is the body. It becomes
// a request or one clear error, and what the errors say about it is JSON again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "json/json.h"
#include "serve/anthropic/messages.h"
#include "serve/ollama/chat.h"
#include "serve/openai/chat.h"
#include "serve/openai/completions.h"
#include "serve/protocol.h"

namespace serve = gemma4::serve;
using gemma4::json::Value;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const serve::Endpoint endpoints[] = {
      serve::openai::chat_endpoint(), serve::openai::completions_endpoint(),
      serve::anthropic::messages_endpoint(), serve::ollama::chat_endpoint(),
      serve::ollama::generate_endpoint()};
  if (size == 0) return 0;
  const serve::Endpoint& endpoint = endpoints[data[0] % std::size(endpoints)];
  const auto body = gemma4::json::parse(
      std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1), {.max_depth = 128});
  if (!body.ok()) return 0;
  const auto request = endpoint.parse(body.value());
  if (!request.ok()) {
    const serve::ApiError error = serve::api_error(request.error());
    G4_CHECK(error.status == 400);
    G4_CHECK(!error.message.empty());
    const std::string text = gemma4::json::dump(serve::error_body(endpoint.protocol, error));
    G4_CHECK(gemma4::json::parse(text).ok());
    return 0;
  }
  G4_CHECK(request.value().n >= 1 && request.value().n <= 128);
  G4_CHECK(!request.value().messages.empty() || !request.value().prompts.empty());
  G4_CHECK(!request.value().continue_last || request.value().messages.back().role == "assistant");
  return 0;
}
