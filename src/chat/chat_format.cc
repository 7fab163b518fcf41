#include "chat/chat_format.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/strings.h"
#include "chat/template_text.h"
#include "chat/tool_declaration.h"
#include "chat/value_text.h"

namespace gemma4::chat {
namespace {

constexpr std::string_view kOpenThought = "<|channel>thought\n";

bool is_system(const Message& message) {
  return message.role == "system" || message.role == "developer";
}

// The role text that stands in the prompt.
std::string_view turn_role(const Message& message) {
  return message.role == "assistant" ? std::string_view("model") : message.role;
}

std::string_view placeholder(ContentPart::Type type) {
  switch (type) {
    case ContentPart::Type::kImage:
      return "<|image|>";
    case ContentPart::Type::kAudio:
      return "<|audio|>";
    case ContentPart::Type::kVideo:
      return "<|video|>";
    case ContentPart::Type::kText:
    case ContentPart::Type::kFile:
    case ContentPart::Type::kOther:
      break;
  }
  return "";
}

class Renderer {
 public:
  Renderer(const std::vector<Message>& messages, const RenderOptions& options)
      : messages_(messages), options_(options) {}

  Result<std::vector<PromptPart>> run(const json::Value::Array& tools) {
    out_.add_template("<bos>");
    if (!messages_.empty() && is_system(messages_[0])) first_ = 1;
    if (options_.enable_thinking || first_ == 1 || !tools.empty()) {
      G4_RETURN_IF_ERROR(add_system_turn(tools));
    }
    reasoning_begin_ = first_;  // thoughts before the last question are dropped
    for (size_t i = first_; i < messages_.size(); ++i) {
      if (messages_[i].role == "user") reasoning_begin_ = i + 1;
    }
    for (size_t i = first_; i < messages_.size();) {
      size_t next = i + 1;
      while (next < messages_.size() && messages_[next].role == "tool") ++next;
      if (messages_[i].role != "tool") G4_RETURN_IF_ERROR(add_message(i, next));
      i = next;
    }
    if (options_.add_generation_prompt) add_generation_prompt();
    return out_.take();
  }

 private:
  // What the last message ended with.
  enum class Last { kText, kCalls, kResults };

  Status add_system_turn(const json::Value::Array& tools) {
    out_.add_template("<|turn>system\n");
    if (options_.enable_thinking) out_.add_template("<|think|>\n");
    if (first_ == 1) {
      const Content& content = messages_[0].content;
      if (const auto* text = std::get_if<std::string>(&content)) {
        out_.add_request(trim(*text));
      } else if (const auto* parts = std::get_if<std::vector<ContentPart>>(&content)) {
        for (const ContentPart& part : *parts) {
          out_.add_request(trim(part.text));
          out_.add_template(" ");
        }
      }
    }
    for (size_t i = 0; i < tools.size(); ++i) {
      if (Status status = add_declaration(out_, tools[i]); !status.ok()) {
        const Error& error = status.error();
        return Error{error.code, str_cat("tools[", i, "].", error.message)};
      }
    }
    out_.add_template("<turn|>\n");
    return {};
  }

  // The message at `i`, with the tool messages behind it, up to `next`.
  Status add_message(size_t i, size_t next) {
    const Message& message = messages_[i];
    const bool has_calls = !message.tool_calls.empty();
    const bool from_model = turn_role(message) == "model";
    // Consecutive assistant messages share one turn.
    const bool continues = from_model && previous_role_ == "assistant";
    const bool is_last = next == messages_.size();
    const bool goes_on = from_model && !is_last && messages_[next].role == "assistant";

    if (!continues) add_turn_open(message);
    if (!message.reasoning.empty() &&
        (i >= reasoning_begin_ || (options_.preserve_thinking && has_calls))) {
      out_.add_template(kOpenThought);
      out_.add_request(message.reasoning);
      out_.add_template("\n<channel|>");
    }
    last_ = Last::kText;
    G4_RETURN_IF_ERROR(add_calls(i));
    if (!message.tool_responses.empty()) {
      for (const ToolResponse& response : message.tool_responses) {
        add_response(response.name.empty() ? "unknown" : response.name, response.response);
      }
    } else if (has_calls) {
      add_tool_messages(i, next);
    }
    const bool has_text = add_content(message.content, from_model);

    const bool is_answered = last_ == Last::kResults;
    const bool stays_open =
        is_answered && is_last && (!has_text || (options_.continue_after_results && from_model));
    if (last_ == Last::kCalls) {
      out_.add_template("<|tool_response>");  // the results are to follow
    } else if (!goes_on && !stays_open) {
      out_.add_template("<turn|>\n");
    }
    previous_role_ = message.role;
    return {};
  }

  // A role that the template knows is its text; any other comes from the request.
  void add_turn_open(const Message& message) {
    const std::string_view role = turn_role(message);
    out_.add_template("<|turn>");
    if (role == "user" || role == "model" || is_system(message)) {
      out_.add_template(role);
    } else {
      out_.add_request(role);
    }
    out_.add_template("\n");
  }

  Status add_calls(size_t i) {
    const std::vector<ToolCall>& calls = messages_[i].tool_calls;
    for (size_t j = 0; j < calls.size(); ++j) {
      const json::Value& arguments = calls[j].arguments;
      if (!arguments.is_object() && !arguments.is_null()) {
        return Error{ErrorCode::kInvalidArgument,
                     str_cat("messages[", i, "].tool_calls[", j,
                             "].function.arguments: expected an object")};
      }
      out_.add_template("<|tool_call>call:");
      out_.add_request(calls[j].name);
      out_.add_template("{");
      if (arguments.is_object()) add_members(out_, arguments, Keys::kBare);
      out_.add_template("}<tool_call|>");
      last_ = Last::kCalls;
    }
    return {};
  }

  void add_tool_messages(size_t i, size_t next) {
    std::unordered_map<std::string_view, std::string_view> names;  // of the functions, by call id
    for (const ToolCall& call : messages_[i].tool_calls) names[call.id] = call.name;
    for (size_t j = i + 1; j < next; ++j) {
      const Message& result = messages_[j];
      const auto found = names.find(result.tool_call_id);
      const std::string_view name = found != names.end()  ? found->second
                                    : result.name.empty() ? std::string_view("unknown")
                                                          : result.name;
      if (const auto* text = std::get_if<std::string>(&result.content)) {
        add_response(name, *text);
      } else if (const auto* parts = std::get_if<std::vector<ContentPart>>(&result.content)) {
        std::string joined;
        for (const ContentPart& part : *parts) {
          if (part.type == ContentPart::Type::kText) joined += part.text;
        }
        add_response(name, joined);
        for (const ContentPart& part : *parts) out_.add_template(placeholder(part.type));
      } else {
        add_response(name, nullptr);
      }
    }
  }

  void add_response(std::string_view name, const json::Value& response) {
    out_.add_template("<|tool_response>response:");
    out_.add_request(name);
    out_.add_template("{");
    if (response.is_object()) {
      add_members(out_, response, Keys::kBare);
    } else {
      out_.add_template("value:");
      add_value(out_, response, Keys::kBare);
    }
    out_.add_template("}<tool_response|>");
    last_ = Last::kResults;
  }

  // True if something else than whitespace was written.
  bool add_content(const Content& content, bool from_model) {
    bool has_text = false;
    const auto add_text = [&](std::string_view text) {
      const std::string stripped = from_model ? strip_thoughts(text) : std::string(trim(text));
      out_.add_request(stripped);
      has_text = has_text || !stripped.empty();
    };
    if (const auto* text = std::get_if<std::string>(&content)) {
      add_text(*text);
    } else if (const auto* parts = std::get_if<std::vector<ContentPart>>(&content)) {
      for (const ContentPart& part : *parts) {
        if (part.type == ContentPart::Type::kText) {
          add_text(part.text);
        } else {
          out_.add_template(placeholder(part.type));
          has_text = has_text || !placeholder(part.type).empty();
        }
      }
    }
    return has_text;
  }

  void add_generation_prompt() {
    if (last_ == Last::kText) {
      out_.add_template("<|turn>model\n");
      // The large models were trained to begin an answer without thought by an empty one.
      if (!options_.enable_thinking && options_.empty_thought) {
        out_.add_template("<|channel>thought\n<channel|>");
      }
    } else if (last_ == Last::kResults && options_.enable_thinking) {
      out_.add_template(kOpenThought);
    }
  }

  const std::vector<Message>& messages_;
  const RenderOptions& options_;
  PromptBuilder out_;
  size_t first_ = 0;            // of the messages behind the system turn
  size_t reasoning_begin_ = 0;  // the first message whose thought is kept
  std::string_view previous_role_;
  Last last_ = Last::kText;
};

}  // namespace

Result<std::vector<PromptPart>> render(const std::vector<Message>& messages,
                                       const RenderOptions& options,
                                       const json::Value::Array& tools) {
  return Renderer(messages, options).run(tools);
}

bool ends_in_thought(const std::vector<PromptPart>& prompt) {
  return !prompt.empty() && prompt.back().from_template &&
         prompt.back().text.ends_with(kOpenThought);
}

}  // namespace gemma4::chat
