// Any bytes as a request: refused with its field named, or rendered with markers that only the
// template wrote, and written back as JSON that is read alike.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "chat/chat_format.h"
#include "chat/openai_messages.h"
#include "json/json.h"

namespace {

using namespace gemma4;
using namespace gemma4::chat;

int count(std::string_view text, std::string_view what) {
  int n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

void check_prompt(const std::vector<PromptPart>& prompt) {
  std::string written;
  for (size_t i = 0; i < prompt.size(); ++i) {
    G4_CHECK(!prompt[i].text.empty());
    if (i > 0) G4_CHECK(prompt[i].from_template != prompt[i - 1].from_template);
    // A border keeps what the request wrote from joining what the template wrote.
    written += prompt[i].from_template ? prompt[i].text : "\n";
  }
  G4_CHECK_EQ(count(written, "<bos>"), 1);
  G4_CHECK_EQ(count(written, "<|tool_call>"), count(written, "<tool_call|>"));
  G4_CHECK_EQ(count(written, "<|tool>"), count(written, "<tool|>"));
  G4_CHECK_EQ(count(written, "<|\"|>") % 2, 0);
}

void check_request(const json::Value& request, Dialect dialect, uint8_t flags) {
  const json::Value* given = request.find("messages");
  const auto messages = parse_messages(given != nullptr ? *given : request, dialect);
  if (!messages.ok()) {
    G4_CHECK(messages.error().message.starts_with("messages"));
    return;
  }
  const json::Value* declared = request.find("tools");
  const auto tools = parse_tools(declared != nullptr ? *declared : json::Value(), dialect);
  if (!tools.ok()) {
    G4_CHECK(tools.error().message.starts_with("tools"));
    return;
  }
  const RenderOptions options{.add_generation_prompt = (flags & 1) != 0,
                              .enable_thinking = (flags & 2) != 0,
                              .preserve_thinking = (flags & 4) != 0,
                              .empty_thought = (flags & 8) != 0,
                              .continue_after_results = (flags & 16) != 0};
  const auto prompt = render(messages.value(), options, tools.value());
  if (prompt.ok()) {
    check_prompt(prompt.value());
  } else {
    G4_CHECK(prompt.error().message.starts_with("tools["));
  }

  if (dialect != Dialect::kOpenAi) return;
  json::Value::Array written;
  for (const Message& message : messages.value()) written.push_back(to_json(message));
  // Only the legacy role "function" goes without an id, and comes back as a tool's.
  const auto again = parse_messages(json::parse(json::dump(written)).value(), dialect);
  G4_CHECK(again.ok() || again.error().message.find("tool_call_id") != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto request =
      json::parse(std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  if (!request.ok()) return 0;
  check_request(request.value(), Dialect::kOpenAi, data[0]);
  check_request(request.value(), Dialect::kTemplate, data[0]);
  return 0;
}
