// What the service says about its models, and their vocabularies.
#include <chrono>
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

Value openai_model(const ModelFacts& model, const std::string& name) {
  return Value::Object{{"id", name},
                       {"object", "model"},
                       {"created", model.created},
                       {"owned_by", "gemma4"},
                       {"max_model_len", model.context_tokens}};
}

Value anthropic_model(const ModelFacts& model, const std::string& name) {
  return Value::Object{{"type", "model"},
                       {"id", name},
                       {"display_name", name},
                       {"created_at", time_text(model.created)}};
}

Value::Array capabilities_of(const ModelFacts& model) {
  Value::Array list{"completion", "tools", "thinking"};
  if (model.config.vision) list.push_back("vision");
  if (model.config.audio) list.push_back("audio");
  return list;
}

Value details_of(const ModelFacts& model) {
  const char* const format = model.path.ends_with(".gguf") ? "gguf" : "safetensors";
  return Value::Object{{"parent_model", ""},   {"format", format},
                       {"family", "gemma4"},   {"families", Value::Array{"gemma4"}},
                       {"parameter_size", ""}, {"quantization_level", ""}};
}

Value tokens_of(const ServedModel& model, const std::string& text, bool add_special,
                bool parse_special) {
  const answer::LoadedModel& loaded = model.loaded();
  std::vector<int32_t> ids =
      loaded.tokenizer->encode(text, parse_special ? text::Tokenizer::AddedTokens::kMatch
                                                   : text::Tokenizer::AddedTokens::kIgnore);
  const int32_t bos = loaded.model->config().text.bos_token_id;
  if (add_special && (ids.empty() || ids.front() != bos)) ids.insert(ids.begin(), bos);
  Value::Array tokens;
  for (const int32_t id : ids) tokens.push_back(static_cast<int64_t>(id));
  return Value::Object{{"count", static_cast<int64_t>(ids.size())},
                       {"max_model_len", model.context_tokens()},
                       {"tokens", std::move(tokens)}};
}

}  // namespace

http::Response Service::list_models(const http::Request& request) const {
  Value::Array list;
  const bool is_anthropic = protocol_of(request) == Protocol::kAnthropic;
  const auto add = [&](const ModelFacts& model, const std::string& name) {
    list.push_back(is_anthropic ? anthropic_model(model, name) : openai_model(model, name));
  };
  for (const auto& model : models_) add(model->facts(), model->name());
  // What stands for models of this server is described as the first of them.
  for (const std::string& name : options_.routes.names())
    if (const auto model = find_model(name); model.ok()) add(model.value()->facts(), name);
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
  const ModelFacts& facts = model.value()->facts();
  call->reply(call->protocol == Protocol::kAnthropic ? anthropic_model(facts, name)
                                                     : openai_model(facts, name));
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
  with_model(call, name, {},
             [call, text = content ? *content : *prompt, add_special,
              parse_special](const ModelLease& model) {
               call->reply(tokens_of(*model, text, add_special, parse_special));
             });
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
  with_model(call, name, {}, [call, ids](const ModelLease& model) {
    const text::Tokenizer& tokenizer = *model->loaded().tokenizer;
    for (const int32_t id : ids)
      if (id >= tokenizer.vocab_size())
        return call->fail(Error{ErrorCode::kInvalidArgument,
                                str_cat("tokens: the vocabulary has ", tokenizer.vocab_size(),
                                        " ids, from 0; got ", id)});
    const std::string text = tokenizer.decode(ids);
    call->reply(Value::Object{{"content", text}, {"prompt", text}});
  });
}

void Service::count_tokens(const std::shared_ptr<Call>& call) {
  Endpoint counting = anthropic::messages_endpoint();
  counting.parse = anthropic::parse_count_tokens;
  count_prompt(counting, call, {}, "input_tokens");
}

void Service::list_tags(const std::shared_ptr<Call>& call) {
  Value::Array list;
  for (const auto& model : models_)
    list.push_back(Value::Object{{"name", model->name()},
                                 {"model", model->name()},
                                 {"modified_at", time_text(model->facts().created)},
                                 {"size", 0},
                                 {"digest", ""},
                                 {"details", details_of(model->facts())}});
  call->reply(Value::Object{{"models", std::move(list)}});
}

void Service::list_loaded(const std::shared_ptr<Call>& call) {
  const auto now = std::chrono::system_clock::now();
  Value::Array list;
  for (const auto& model : models_) {
    const auto remaining = model->remaining();
    if (!remaining) continue;
    const auto end =
        std::chrono::duration_cast<std::chrono::seconds>((now + *remaining).time_since_epoch());
    list.push_back(Value::Object{{"name", model->name()},
                                 {"model", model->name()},
                                 {"size", 0},
                                 {"digest", ""},
                                 {"details", details_of(model->facts())},
                                 {"expires_at", time_text(end.count())},
                                 {"size_vram", 0},
                                 {"context_length", model->facts().context_tokens}});
  }
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
  const ModelFacts& facts = model.value()->facts();
  const auto& text = facts.config.text;
  call->reply(Value::Object{
      {"modelfile", ""},
      {"parameters", ""},
      {"template", ""},
      {"details", details_of(facts)},
      {"model_info",
       Value::Object{{"general.architecture", "gemma4"},
                     {"gemma4.context_length", facts.context_tokens},
                     {"gemma4.block_count", static_cast<int64_t>(text.num_hidden_layers)},
                     {"gemma4.embedding_length", static_cast<int64_t>(text.hidden_size)}}},
      {"capabilities", capabilities_of(facts)},
      {"modified_at", time_text(facts.created)}});
}

}  // namespace gemma4::serve
