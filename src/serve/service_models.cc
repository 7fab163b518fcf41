// What the service says about its models, and their vocabularies.
#include <ctime>
#include <utility>

#include "answer/prompt.h"
#include "base/strings.h"
#include "serve/anthropic/messages.h"
#include "serve/fields.h"
#include "serve/service_call.h"

namespace gemma4::serve {

using json::Value;

namespace {

Value openai_model(const ServedModel& model, const std::string& name) {
  return Value::Object{{"id", name},
                       {"object", "model"},
                       {"created", model.created()},
                       {"owned_by", "gemma4"},
                       {"max_model_len", model.context_tokens()}};
}

Value anthropic_model(const ServedModel& model, const std::string& name) {
  return Value::Object{{"type", "model"},
                       {"id", name},
                       {"display_name", name},
                       {"created_at", time_text(model.created())}};
}

Value::Array capabilities_of(const ServedModel& model) {
  Value::Array list{"completion", "tools", "thinking"};
  const auto& config = model.loaded().model->config();
  if (config.vision) list.push_back("vision");
  if (config.audio) list.push_back("audio");
  return list;
}

Value details_of(const ServedModel& model) {
  return Value::Object{{"parent_model", ""},
                       {"format", model.loaded().path.ends_with(".gguf") ? "gguf" : "safetensors"},
                       {"family", "gemma4"},
                       {"families", Value::Array{"gemma4"}},
                       {"parameter_size", ""},
                       {"quantization_level", ""}};
}

}  // namespace

http::Response Service::list_models(const http::Request& request) const {
  Value::Array list;
  const bool is_anthropic = protocol_of(request) == Protocol::kAnthropic;
  const auto add = [&](const ServedModel& model, const std::string& name) {
    list.push_back(is_anthropic ? anthropic_model(model, name) : openai_model(model, name));
  };
  for (const auto& model : models_) add(*model, model->name());
  // What stands for models of this server is described as the first of them.
  for (const std::string& name : options_.routes.names())
    if (const auto model = find_model(name); model.ok()) add(*model.value(), name);
  const Value first = *list.front().find("id"), last = *list.back().find("id");
  Value body = Value::Object();
  if (!is_anthropic) body.set("object", "list");
  body.set("data", std::move(list));
  if (is_anthropic) {
    body.set("has_more", false);
    body.set("first_id", first);
    body.set("last_id", last);
  }
  return {.body = json::dump(body) + "\n"};
}

void Service::show_model(const std::shared_ptr<Call>& call) {
  const auto model = find_model(call->parameter);
  if (!model.ok()) return call->fail(ApiError{404, model.error().message, "model_not_found"});
  const std::string& name =
      options_.routes.has(call->parameter) ? call->parameter : model.value()->name();
  call->reply(call->protocol == Protocol::kAnthropic ? anthropic_model(*model.value(), name)
                                                     : openai_model(*model.value(), name));
}

// Both of llama.cpp's {content} and vLLM's {prompt}.
void Service::tokenize(const std::shared_ptr<Call>& call) {
  const auto body = read_body(*call);
  if (!body.ok()) return call->fail(body.error());
  Fields fields(body.value());
  const std::string name = fields.text("model").value_or("");
  const auto content = fields.text("content"), prompt = fields.text("prompt");
  const bool add_special =
      fields.boolean("add_special").value_or(fields.boolean("add_special_tokens").value_or(false));
  const bool parse_special = fields.boolean("parse_special").value_or(true);
  if (content.has_value() == prompt.has_value())
    fields.fail(content ? "prompt" : "content", "expected one of content and prompt, a string");
  if (const Status status = fields.finish(); !status.ok()) return call->fail(status.error());
  const auto model = find_model(name);
  if (!model.ok()) return call->fail(ApiError{404, model.error().message, "model_not_found"});
  const answer::LoadedModel& loaded = model.value()->loaded();
  const std::string& text = content ? *content : *prompt;
  std::vector<int32_t> ids =
      loaded.tokenizer->encode(text, parse_special ? text::Tokenizer::AddedTokens::kMatch
                                                   : text::Tokenizer::AddedTokens::kIgnore);
  const int32_t bos = loaded.model->config().text.bos_token_id;
  if (add_special && (ids.empty() || ids.front() != bos)) ids.insert(ids.begin(), bos);
  Value::Array tokens;
  for (const int32_t id : ids) tokens.push_back(static_cast<int64_t>(id));
  call->reply(Value::Object{{"count", static_cast<int64_t>(ids.size())},
                            {"max_model_len", model.value()->context_tokens()},
                            {"tokens", std::move(tokens)}});
}

void Service::detokenize(const std::shared_ptr<Call>& call) {
  const auto body = read_body(*call);
  if (!body.ok()) return call->fail(body.error());
  Fields fields(body.value());
  const std::string name = fields.text("model").value_or("");
  const Value* tokens = fields.list("tokens");
  if (tokens == nullptr) fields.fail("tokens", "expected a list of ids");
  std::vector<int32_t> ids;
  if (fields.ok())
    for (const Value& token : tokens->as_array()) {
      const auto id = token.is_number() ? token.as_number().as_int64() : std::nullopt;
      if (!id || *id < 0 || *id > INT32_MAX) {
        fields.fail("tokens", "expected a list of ids");
        break;
      }
      ids.push_back(static_cast<int32_t>(*id));
    }
  if (const Status status = fields.finish(); !status.ok()) return call->fail(status.error());
  const auto model = find_model(name);
  if (!model.ok()) return call->fail(ApiError{404, model.error().message, "model_not_found"});
  const text::Tokenizer& tokenizer = *model.value()->loaded().tokenizer;
  for (const int32_t id : ids)
    if (id >= tokenizer.vocab_size())
      return call->fail(Error{ErrorCode::kInvalidArgument,
                              str_cat("tokens: the vocabulary has ", tokenizer.vocab_size(),
                                      " ids, from 0; got ", id)});
  const std::string text = tokenizer.decode(ids);
  call->reply(Value::Object{{"content", text}, {"prompt", text}});
}

void Service::count_tokens(const std::shared_ptr<Call>& call) {
  Endpoint counting = anthropic::messages_endpoint();
  counting.parse = anthropic::parse_count_tokens;
  auto run = prepare(counting, *call);
  if (!run.ok()) return call->fail(run.error());
  call->reply(Value::Object{{"input_tokens", run.value()->prompt_tokens()}});
}

void Service::list_tags(const std::shared_ptr<Call>& call) {
  Value::Array list;
  for (const auto& model : models_)
    list.push_back(Value::Object{{"name", model->name()},
                                 {"model", model->name()},
                                 {"modified_at", time_text(model->created())},
                                 {"size", 0},
                                 {"digest", ""},
                                 {"details", details_of(*model)}});
  call->reply(Value::Object{{"models", std::move(list)}});
}

void Service::show_tag(const std::shared_ptr<Call>& call) {
  const auto body = read_body(*call);
  if (!body.ok()) return call->fail(body.error());
  Fields fields(body.value());
  auto name = fields.text("model");
  if (const auto old = fields.text("name"); old && !name) name = old;
  fields.ignore({"verbose"});
  fields.refuse({"system", "template", "options"});
  if (!name) fields.fail("model", "is missing");
  if (const Status status = fields.finish(); !status.ok()) return call->fail(status.error());
  const auto model = find_model(*name);
  if (!model.ok()) return call->fail(ApiError{404, model.error().message});
  const auto& text = model.value()->loaded().model->config().text;
  call->reply(Value::Object{
      {"modelfile", ""},
      {"parameters", ""},
      {"template", ""},
      {"details", details_of(*model.value())},
      {"model_info",
       Value::Object{{"general.architecture", "gemma4"},
                     {"gemma4.context_length", model.value()->context_tokens()},
                     {"gemma4.block_count", static_cast<int64_t>(text.num_hidden_layers)},
                     {"gemma4.embedding_length", static_cast<int64_t>(text.hidden_size)}}},
      {"capabilities", capabilities_of(*model.value())},
      {"modified_at", time_text(model.value()->created())}});
}

}  // namespace gemma4::serve
