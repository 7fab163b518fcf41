#include "chat/verify_cases.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "chat/answer.h"
#include "chat/chat_format.h"
#include "chat/marked_text.h"
#include "chat/openai_messages.h"

namespace gemma4::chat {
namespace {

using json::Value;

// One element of `cases`, whose members are of the wrong type or as expected.
class Case {
 public:
  Case(const Value& value, std::string name) : value_(value), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  const Value* find(std::string_view key) const { return value_.find(key); }
  Error bad(std::string_view key, std::string_view expected) const {
    return {ErrorCode::kInvalidData, str_cat(name_, ": ", key, ": expected ", expected)};
  }
  Error bad(const Error& error) const {
    return {ErrorCode::kInvalidData, str_cat(name_, ": ", error.message)};
  }
  Result<std::string> text(std::string_view key) const {
    const Value* value = find(key);
    if (value == nullptr || !value->is_string()) return bad(key, "a string");
    return value->as_string();
  }
  Result<bool> flag(std::string_view key, bool otherwise) const {
    const Value* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) return bad(key, "true or false");
    return value->as_bool();
  }
  Result<Value::Array> tools() const {
    const Value* tools = find("tools");
    if (tools == nullptr) return Value::Array();
    auto parsed = parse_tools(*tools, Dialect::kTemplate);
    if (!parsed.ok()) return bad(parsed.error());
    return parsed;
  }

 private:
  const Value& value_;
  std::string name_;
};

// Runs `check` on every case; it gives the difference, empty if there is none.
using Check = std::function<Result<std::string>(const Case&)>;

Result<CaseReport> run_cases(std::string_view cases_json, const Check& check) {
  const auto root = json::parse(cases_json);
  if (!root.ok()) return root.error();
  const Value* cases = root.value().find("cases");
  if (cases == nullptr || !cases->is_array())
    return Error{ErrorCode::kInvalidData, "expected an object with a list \"cases\""};
  CaseReport report;
  for (const Value& element : cases->as_array()) {
    std::string name = str_cat("cases[", report.num_cases++, "]");
    if (!element.is_object()) return Error{ErrorCode::kInvalidData, name + ": expected an object"};
    const Value* given = element.find("name");
    if (given != nullptr && given->is_string()) name += " " + quote(given->as_string());
    G4_ASSIGN_OR_RETURN(std::string difference, check(Case(element, name)));
    if (!difference.empty()) report.failures.push_back({name, std::move(difference)});
  }
  return report;
}

// Where two texts part, with some of what is around.
std::string difference_of(std::string_view expected, std::string_view found) {
  const auto [a, b] = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  const auto at = static_cast<size_t>(a - expected.begin());
  const size_t begin = at - std::min<size_t>(at, 20);
  return str_cat("at byte ", at, ": expected ", quote(expected.substr(begin)), ", found ",
                 quote(found.substr(begin)));
}

Result<std::string> check_prompt(const Case& test) {
  const Value* given = test.find("messages");
  if (given == nullptr) return test.bad("messages", "a list");
  G4_ASSIGN_OR_RETURN(const Value::Array tools, test.tools());
  RenderOptions options;
  G4_ASSIGN_OR_RETURN(options.add_generation_prompt, test.flag("add_generation_prompt", false));
  G4_ASSIGN_OR_RETURN(options.enable_thinking, test.flag("enable_thinking", false));
  G4_ASSIGN_OR_RETURN(options.preserve_thinking, test.flag("preserve_thinking", false));
  const bool is_refused = test.find("expected_error") != nullptr;

  const auto messages = parse_messages(*given, Dialect::kTemplate);
  if (!messages.ok()) return is_refused ? std::string() : messages.error().message;
  for (const bool is_small : {false, true}) {
    options.empty_thought = !is_small;
    const auto prompt = render(messages.value(), options, tools);
    if (is_refused != !prompt.ok())
      return is_refused ? "expected an error, found a prompt" : prompt.error().message;
    if (is_refused) continue;
    const bool differs = is_small && test.find("expected_small") != nullptr;
    G4_ASSIGN_OR_RETURN(const std::string expected,
                        test.text(differs ? "expected_small" : "expected"));
    const std::string found = to_string(prompt.value());
    if (found != expected)
      return (is_small ? "small models, " : "") + difference_of(expected, found);
  }
  return std::string();
}

bool is_same(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    return a == b || a.as_number().as_double() == b.as_number().as_double();
  }
  if (a.is_array() && b.is_array()) {
    return std::equal(a.as_array().begin(), a.as_array().end(), b.as_array().begin(),
                      b.as_array().end(), is_same);
  }
  if (a.is_object() && b.is_object()) {
    const auto& members = a.as_object();
    return members.size() == b.as_object().size() &&
           std::all_of(members.begin(), members.end(), [&](const Value::Member& member) {
             const Value* other = b.find(member.first);
             return other != nullptr && is_same(member.second, *other);
           });
  }
  return a == b;
}

// {content, reasoning, tool_calls} as case files have it.
Value as_expected(const Message& message) {
  Value::Array calls;
  for (const ToolCall& call : message.tool_calls)
    calls.push_back(Value::Object{{"name", call.name}, {"arguments", call.arguments}});
  const auto* content = std::get_if<std::string>(&message.content);
  return Value::Object{
      {"content", content != nullptr ? Value(*content) : Value()},
      {"reasoning", message.reasoning.empty() ? Value() : Value(message.reasoning)},
      {"tool_calls", std::move(calls)}};
}

Message read_chunks(const std::vector<std::string_view>& chunks, const ParserOptions& options) {
  OutputParser parser(MarkedText::markers(), options);
  MarkedText marked;
  AnswerBuilder answer;
  const auto take = [&](const std::vector<MarkedText::Piece>& pieces) {
    for (const auto& [id, text] : pieces) answer.add(parser.push(id, text));
  };
  for (const std::string_view chunk : chunks) take(marked.push(chunk));
  take(marked.finish());
  answer.add(parser.finish());
  return answer.message();
}

Result<std::string> check_output(const Case& test) {
  G4_ASSIGN_OR_RETURN(const std::string output, test.text("model_output"));
  const Value* expected = test.find("expected");
  if (expected == nullptr || !expected->is_object()) return test.bad("expected", "an object");
  ParserOptions options;
  G4_ASSIGN_OR_RETURN(options.tools, test.tools());
  G4_ASSIGN_OR_RETURN(const bool reads_calls, test.flag("tool_parsing", true));
  options.tool_calls = reads_calls ? ToolCalls::kRead : ToolCalls::kIgnore;
  if (const Value* state = test.find("initial_state"); state != nullptr) {
    if (*state != Value("reasoning") && *state != Value("content"))
      return test.bad("initial_state", "\"content\" or \"reasoning\"");
    if (*state == Value("reasoning")) options.start = ParserOptions::Start::kReasoning;
  }

  const std::string_view text = output;
  std::string difference;
  const auto check = [&](const std::vector<std::string_view>& chunks, const std::string& how) {
    const Value found = as_expected(read_chunks(chunks, options));
    if (difference.empty() && !is_same(*expected, found))
      difference = how + ", " + difference_of(json::dump(*expected), json::dump(found));
  };
  check({text}, "whole");
  for (size_t at = 1; at < text.size(); ++at)
    check({text.substr(0, at), text.substr(at)}, str_cat("cut at byte ", at));
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  check(bytes, "byte by byte");
  if (const Value* given = test.find("chunks"); given != nullptr) {
    if (!given->is_array()) return test.bad("chunks", "a list of strings");
    std::vector<std::string_view> chunks;
    for (const Value& chunk : given->as_array()) {
      if (!chunk.is_string()) return test.bad("chunks", "a list of strings");
      chunks.push_back(chunk.as_string());
    }
    check(chunks, "in its chunks");
  }
  return difference;
}

}  // namespace

Result<CaseReport> verify_chat_cases(std::string_view cases_json) {
  return run_cases(cases_json, check_prompt);
}

Result<CaseReport> verify_tool_cases(std::string_view cases_json) {
  return run_cases(cases_json, check_output);
}

}  // namespace gemma4::chat
