#include "serve/openai/response_request.h"

#include <utility>
#include <vector>

#include "base/strings.h"
#include "chat/effort.h"
#include "chat/openai_messages.h"
#include "serve/openai/common.h"
#include "serve/openai/response_items.h"

namespace gemma4::serve::openai {

using answer::ToolChoice;
using json::Value;

namespace {

// A turn's items, which were read when they came.
Status append_turn(const ResponseTurn& turn, std::vector<chat::Message>& messages) {
  for (const std::string* text : {&turn.input, &turn.output}) {
    G4_ASSIGN_OR_RETURN(const Value items, json::parse(*text));
    G4_RETURN_IF_ERROR(append_messages(items.as_array(), "previous_response_id", messages));
  }
  return {};
}

void read_conversation(Fields& fields, const ResponseMemory& memory, ChatRequest& request,
                       ResponseDraft& draft) {
  const auto instructions = fields.text("instructions");
  const auto previous = fields.text("previous_response_id");
  const Value* input = fields.any("input");
  draft.echo.set("instructions", instructions ? Value(*instructions) : Value());
  draft.echo.set("previous_response_id", previous ? Value(*previous) : Value());
  if (!fields.ok()) return;
  if (instructions) request.messages.push_back({.role = "system", .content = *instructions});
  if (previous) {
    draft.previous = memory.find(*previous);
    if (draft.previous == nullptr)
      return fields.fail("previous_response_id",
                         str_cat("there is no response ", quote(*previous),
                                 " here (any more); send the whole conversation as input"));
    std::vector<const ResponseTurn*> turns;
    for (const ResponseTurn* turn = draft.previous.get(); turn != nullptr;
         turn = turn->previous.get())
      turns.push_back(turn);
    for (auto turn = turns.rbegin(); turn != turns.rend(); ++turn)
      if (const Status status = append_turn(**turn, request.messages); !status.ok())
        return fields.fail(status.error());
  }
  if (input == nullptr) return fields.fail("input", "expected a string or a list of items");
  draft.input = *input;
  const auto items = whole_items(*input, "x");
  if (!items.ok()) return fields.fail(items.error());
  if (items.value().empty()) return fields.fail("input", "expected at least one item");
  const Status status = append_messages(items.value(), "input", request.messages);
  if (!status.ok()) return fields.fail(status.error());
}

// A tool as the chat format declares it.
Result<Value> tool_of(const Value& from, const std::string& path) {
  Fields fields(from, path);
  const auto type = fields.text("type");
  if (type && *type != "function")
    return Error{ErrorCode::kInvalidArgument,
                 str_cat(path, ".type: this server runs no tools of its own, such as ",
                         quote(*type), "; declare functions")};
  Value function = Value::Object();
  for (const char* name : {"name", "description", "parameters"})
    if (const Value* value = fields.any(name)) function.set(name, *value);
  fields.ignore({"strict", "output_schema"});
  fields.refuse({"defer_loading", "allowed_callers", "async"});
  if (!type) fields.fail("type", "is missing");
  G4_RETURN_IF_ERROR(fields.finish());
  return Value(Value::Object{{"type", "function"}, {"function", std::move(function)}});
}

void read_tool_choice(Fields& fields, ChatRequest& request, Value& echo) {
  ToolChoice& choice = request.form.choice;
  const Value* value = fields.any("tool_choice");
  echo.set("tool_choice", value == nullptr ? Value("auto") : *value);
  if (value == nullptr) return;
  if (value->is_object()) {
    const Value* type = value->find("type");
    const Value* name = value->find("name");
    if (type == nullptr || *type != Value("function") || name == nullptr || !name->is_string())
      return fields.fail("tool_choice", "an object must be {\"type\":\"function\",\"name\":...}");
    choice = {ToolChoice::Kind::kNamed, name->as_string()};
  } else {
    const auto word = fields.word("tool_choice", {"auto", "none", "required"});
    if (word == "none") choice.kind = ToolChoice::Kind::kNone;
    if (word == "required") choice.kind = ToolChoice::Kind::kRequired;
  }
  const bool must_call =
      choice.kind == ToolChoice::Kind::kNamed || choice.kind == ToolChoice::Kind::kRequired;
  if (must_call && request.form.tools.empty())
    fields.fail("tool_choice", "asks for a call, and there are no tools");
}

void read_tools(Fields& fields, ChatRequest& request, Value& echo) {
  echo.set("tools", Value::Array());
  if (const Value* tools = fields.list("tools")) {
    Value::Array declared;
    for (const Value& from : tools->as_array()) {
      auto tool = tool_of(from, str_cat("tools[", declared.size(), "]"));
      if (!tool.ok()) return fields.fail(tool.error());
      declared.push_back(std::move(tool).value());
    }
    auto parsed = chat::parse_tools(declared, chat::Dialect::kOpenAi);
    if (!parsed.ok()) return fields.fail(parsed.error());
    request.form.tools = std::move(parsed).value();
    echo.set("tools", *tools);
  }
  read_tool_choice(fields, request, echo);
  const bool parallel = fields.boolean("parallel_tool_calls").value_or(true);
  if (!parallel) request.form.call_count = constrain::CallCount::kOne;
  echo.set("parallel_tool_calls", parallel);
  const auto most = fields.integer("max_tool_calls", 1);  // of tools that the server runs: none
  echo.set("max_tool_calls", most ? Value(*most) : Value());
}

void read_format(Fields& text, const Value& format, ChatRequest& request) {
  Fields fields(format, "text.format");
  const auto type = fields.word("type", {"text", "json_object", "json_schema"});
  const Value* schema = fields.any("schema");
  if (!type) fields.fail("type", "is missing");
  if (type == "json_object") request.form.schema = Value::Object{{"type", "object"}};
  if (type == "json_schema") {
    fields.ignore({"name", "description", "strict"});
    if (schema == nullptr) fields.fail("schema", "is missing");
    if (schema != nullptr) request.form.schema = *schema;
  } else if (schema != nullptr) {
    fields.fail("schema", "only with type json_schema");
  }
  if (const Status status = fields.finish(); !status.ok()) text.fail(status.error());
}

void read_text(Fields& fields, ChatRequest& request, Value& echo) {
  Value format = Value::Object{{"type", "text"}};
  if (const Value* text = fields.object("text")) {
    Fields inner(*text, "text");
    if (const Value* asked = inner.object("format")) {
      format = *asked;
      read_format(inner, *asked, request);
    }
    inner.refuse({"verbosity"}, "medium");
    if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
  }
  echo.set("text", Value::Object{{"format", std::move(format)}, {"verbosity", "medium"}});
}

void read_reasoning(Fields& fields, ChatRequest& request, Value& echo) {
  std::optional<std::string> level;
  if (const Value* reasoning = fields.object("reasoning")) {
    Fields inner(*reasoning, "reasoning");
    level = inner.word("effort", {"none", "minimal", "low", "medium", "high", "xhigh"});
    // "auto" leaves it to the server, which gives the thought itself and no summary of it.
    inner.refuse({"summary", "generate_summary"}, "auto");
    if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
  }
  if (level) {
    const auto effort = chat::effort_of(*level == "xhigh" ? "high" : *level);
    request.thinking = effort->thinking;
    if (effort->thinking_budget < std::numeric_limits<int64_t>::max())
      request.form.thinking_budget = effort->thinking_budget;
  }
  if (const auto budget = fields.integer("thinking_budget", 0)) {
    request.form.thinking_budget = *budget;
    request.thinking = *budget > 0;
  }
  echo.set("reasoning",
           Value::Object{{"effort", level ? Value(*level) : Value()}, {"summary", nullptr}});
}

void read_metadata(Fields& fields, Value& echo) {
  const Value* metadata = fields.object("metadata");
  echo.set("metadata", metadata == nullptr ? Value(Value::Object()) : *metadata);
  if (metadata == nullptr) return;
  if (metadata->as_object().size() > 16) fields.fail("metadata", "more than 16 members");
  for (const auto& [name, value] : metadata->as_object())
    if (!value.is_string()) fields.fail("metadata", str_cat(quote(name), " is not a string"));
}

// What is to come beside the text. Of tools that the server runs there is nothing to include,
// pictures are always in the items, and no thought is hidden so that it must be encrypted.
void read_include(Fields& fields, ChatRequest& request, Value& echo) {
  bool logprobs = false;
  for (const std::string& word : fields.texts("include")) {
    if (word == "message.output_text.logprobs") {
      logprobs = true;
    } else if (word != "reasoning.encrypted_content" && word != "message.input_image.image_url" &&
               word != "file_search_call.results" && word != "web_search_call.results" &&
               word != "web_search_call.action.sources" &&
               word != "computer_call_output.output.image_url" &&
               word != "code_interpreter_call.outputs") {
      fields.fail("include", str_cat("there is no ", quote(word)));
    }
  }
  const auto top = fields.integer("top_logprobs", 0, 20);
  if (top.value_or(0) > 0 && !logprobs)
    fields.fail("top_logprobs", "only with \"message.output_text.logprobs\" in include");
  if (logprobs) request.num_logprobs = static_cast<int>(top.value_or(0));
  echo.set("top_logprobs", top.value_or(0));
}

}  // namespace

Result<ChatRequest> parse_response_request(const Value& body, const ResponseMemory& memory,
                                           ResponseDraft& draft) {
  Fields fields(body);
  ChatRequest request;
  request.names.schema = "text.format.schema";
  Value& echo = draft.echo;
  draft.store = fields.boolean("store").value_or(true);
  echo.set("store", draft.store);
  read_common(fields, request);
  for (const char* name : {"temperature", "top_p"}) {
    const Value* value = fields.any(name);
    echo.set(name, value == nullptr ? Value() : *value);
  }
  if (request.n != 1) fields.fail("n", "a response is one answer");
  read_conversation(fields, memory, request, draft);
  read_tools(fields, request, echo);
  read_text(fields, request, echo);
  read_reasoning(fields, request, echo);
  read_metadata(fields, echo);
  read_include(fields, request, echo);
  request.max_tokens = fields.integer("max_output_tokens", 1);
  echo.set("max_output_tokens", request.max_tokens ? Value(*request.max_tokens) : Value());
  fields.refuse({"truncation"}, "disabled");
  echo.set("truncation", "disabled");
  fields.ignore({"prompt_cache_options"});
  fields.refuse({"background", "conversation", "prompt", "context_management", "moderation",
                 "access_programs", "image"});
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

}  // namespace gemma4::serve::openai
