#include "serve/routes.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/strings.h"
#include "io/mapped_file.h"
#include "json/json.h"
#include "serve/fields.h"

namespace gemma4::serve {

using chat::ContentPart;
using json::Value;

namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr int64_t kMost = int64_t{1} << 40;

void add_message(RequestShape& shape, const chat::Message& message) {
  ++shape.messages;
  shape.characters += std::ssize(message.reasoning);
  if (const auto* text = std::get_if<std::string>(&message.content))
    shape.characters += std::ssize(*text);
  const auto* const parts = std::get_if<std::vector<ContentPart>>(&message.content);
  if (parts == nullptr) return;
  for (const ContentPart& part : *parts) {
    shape.characters += std::ssize(part.text);
    shape.media |= part.type != ContentPart::Type::kText;
  }
}

Result<std::string> read_key(const std::string& path) {
  G4_ASSIGN_OR_RETURN(std::string key, io::read_file(path, kMaxFileBytes));
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' '))
    key.pop_back();
  return key;
}

Result<RouteRule> read_rule(const Value& object, const std::string& place) {
  Fields fields(object, place);
  RouteRule rule;
  rule.model = fields.text("model").value_or("");
  rule.endpoint = fields.text("endpoint").value_or("");
  const auto key_file = fields.text("key_file");
  rule.max_characters = fields.integer("max_characters", 0, kMost);
  rule.max_messages = fields.integer("max_messages", 0, kMost);
  rule.max_waiting = fields.integer("max_waiting", 0, kMost);
  rule.media = fields.boolean("media");
  rule.tools = fields.boolean("tools");
  rule.schema = fields.boolean("schema");
  rule.thinking = fields.boolean("thinking");
  if (rule.model.empty()) fields.fail("model", "is missing");
  const bool is_address =
      rule.endpoint.starts_with("http://") || rule.endpoint.starts_with("https://");
  if (rule.is_remote() && !is_address)
    fields.fail("endpoint", "expected an address: https://llm.example.org/v1");
  if (!rule.is_remote() && key_file) fields.fail("key_file", "is for an endpoint");
  if (rule.is_remote() && rule.max_waiting) fields.fail("max_waiting", "is for a model in here");
  G4_RETURN_IF_ERROR(fields.finish());
  while (rule.endpoint.ends_with('/')) rule.endpoint.pop_back();
  if (key_file) {
    G4_ASSIGN_OR_RETURN(rule.key, read_key(*key_file));
  }
  return rule;
}

// Where a rule says nothing, anything fits.
bool fits(const std::optional<int64_t>& most, int64_t count) { return !most || count <= *most; }
bool fits(const std::optional<bool>& takes, bool has) { return takes.value_or(true) || !has; }

}  // namespace

RequestShape shape_of(const ChatRequest& request) {
  RequestShape shape{.tools = !request.form.tools.empty(),
                     .schema = request.form.schema || request.form.grammar || request.form.regex,
                     .thinking = request.thinking};
  for (const chat::Message& message : request.messages) add_message(shape, message);
  for (const auto& messages : request.conversations)
    for (const chat::Message& message : messages) add_message(shape, message);
  for (const RawPrompt& prompt : request.prompts) {
    constexpr int64_t kBytesOfToken = 4;  // about
    const auto* const text = std::get_if<std::string>(&prompt);
    shape.characters += text != nullptr
                            ? std::ssize(*text)
                            : kBytesOfToken * std::ssize(std::get<std::vector<int32_t>>(prompt));
    ++shape.messages;
  }
  return shape;
}

Result<Routes> Routes::load(const std::string& path) {
  G4_ASSIGN_OR_RETURN(const std::string text, io::read_file(path, kMaxFileBytes));
  const auto wrong = [&](const std::string& message) {
    return Error{ErrorCode::kInvalidData, str_cat(path, ": ", message)};
  };
  const auto parsed = json::parse(text);
  if (!parsed.ok()) return wrong(parsed.error().message);
  if (!parsed.value().is_object()) return wrong("expected an object of names and their rules");
  Routes routes;
  for (const auto& [name, list] : parsed.value().as_object()) {
    if (name.empty() || !list.is_array() || list.as_array().empty())
      return wrong(str_cat(quote(name), ": expected a name and a list of rules"));
    std::vector<RouteRule>& rules = routes.rules_[name];
    if (!rules.empty()) return wrong(str_cat(quote(name), ": is there twice"));
    for (const Value& object : list.as_array()) {
      auto rule = read_rule(object, str_cat(name, "[", rules.size(), "]"));
      if (!rule.ok()) return wrong(rule.error().message);
      rules.push_back(std::move(rule).value());
    }
  }
  return routes;
}

Status Routes::check(const std::vector<std::string>& models) const {
  const auto is_model = [&](const std::string& name) {
    return std::ranges::find(models, name) != models.end();
  };
  for (const auto& [name, rules] : rules_) {
    if (is_model(name))
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("--routes: ", quote(name), " is the name of a model, too")};
    for (const RouteRule& rule : rules)
      if (!rule.is_remote() && !is_model(rule.model))
        return Error{ErrorCode::kInvalidArgument,
                     str_cat("--routes: a rule of ", quote(name), " is for ", quote(rule.model),
                             ", which this server does not have")};
  }
  return {};
}

std::vector<std::string> Routes::names() const {
  std::vector<std::string> names;
  for (const auto& [name, rules] : rules_) names.push_back(name);
  return names;
}

const RouteRule* Routes::choose(
    const std::string& name, const RequestShape& shape, bool takes_remote,
    const std::function<int64_t(const std::string& model)>& waiting) const {
  const auto rules = rules_.find(name);
  if (rules == rules_.end()) return nullptr;
  for (const RouteRule& rule : rules->second) {
    if (rule.is_remote() && !takes_remote) continue;
    if (!fits(rule.max_characters, shape.characters) || !fits(rule.max_messages, shape.messages) ||
        !fits(rule.media, shape.media) || !fits(rule.tools, shape.tools) ||
        !fits(rule.schema, shape.schema) || !fits(rule.thinking, shape.thinking))
      continue;
    if (rule.max_waiting && waiting(rule.model) > *rule.max_waiting) continue;
    return &rule;
  }
  return nullptr;
}

std::string Routes::first_model(const std::string& name) const {
  const auto rules = rules_.find(name);
  if (rules == rules_.end()) return "";
  const auto local = std::ranges::find(rules->second, false, &RouteRule::is_remote);
  return local == rules->second.end() ? "" : local->model;
}

}  // namespace gemma4::serve
