#include "serve/embedding_api.h"

#include <cstring>
#include <limits>

#include "base/base64.h"
#include "base/strings.h"
#include "serve/fields.h"

namespace gemma4::serve {

using json::Value;

namespace {

constexpr size_t kMaxInputs = 2048;  // OpenAI's limit

std::optional<std::vector<int32_t>> ids_of(const Value& list) {
  std::vector<int32_t> ids;
  for (const Value& entry : list.as_array()) {
    const auto id = entry.is_number() ? entry.as_number().as_int64() : std::nullopt;
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) return std::nullopt;
    ids.push_back(static_cast<int32_t>(*id));
  }
  if (ids.empty()) return std::nullopt;
  return ids;
}

enum class Ids { kTaken, kRefused };

void read_inputs(Fields& fields, Ids ids, EmbeddingRequest& request) {
  const Value* input = fields.any("input");
  if (!fields.ok()) return;
  const char* const expected =
      ids == Ids::kTaken
          ? "expected a string, a list of strings, a list of token ids, or a list of such lists"
          : "expected a string or a list of strings";
  if (input == nullptr) return fields.fail("input", expected);
  Value::Array list;
  const bool is_ids = ids == Ids::kTaken && input->is_array() && !input->as_array().empty() &&
                      input->as_array().front().is_number();
  if (input->is_string() || is_ids) {
    list.push_back(*input);
  } else if (input->is_array()) {
    list = input->as_array();
  }
  if (list.empty()) return fields.fail("input", expected);
  if (list.size() > kMaxInputs)
    return fields.fail("input", str_cat("more than ", kMaxInputs, " texts"));
  for (const Value& entry : list) {
    if (entry.is_string()) {
      request.inputs.emplace_back(entry.as_string());
      continue;
    }
    auto read = ids == Ids::kTaken && entry.is_array() ? ids_of(entry) : std::nullopt;
    if (!read) return fields.fail("input", expected);
    request.inputs.emplace_back(*std::move(read));
  }
}

// Little-endian float32, as numpy.frombuffer reads it.
std::string base64_of(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(bits >> shift));
  }
  return base64(bytes);
}

Value list_of(const std::vector<float>& values) {
  Value::Array list;
  for (const float value : values) list.push_back(json::Number{str_cat(value)});
  return list;
}

Result<EmbeddingRequest> parse_openai(const Value& body) {
  Fields fields(body);
  EmbeddingRequest request;
  request.model = fields.text("model").value_or("");
  read_inputs(fields, Ids::kTaken, request);
  request.base64 = fields.word("encoding_format", {"float", "base64"}) == "base64";
  request.dimensions = fields.integer("dimensions", 1);
  request.normalize = fields.boolean("normalize").value_or(true);  // as vLLM has it
  fields.ignore({"user"});
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

Value write_openai(const EmbeddingRequest& request, const EmbeddingAnswer& answer) {
  Value::Array data;
  for (const std::vector<float>& embedding : answer.embeddings) {
    const auto index = static_cast<int64_t>(data.size());
    data.push_back(Value::Object{
        {"object", "embedding"},
        {"index", index},
        {"embedding", request.base64 ? Value(base64_of(embedding)) : list_of(embedding)}});
  }
  return Value::Object{{"object", "list"},
                       {"data", std::move(data)},
                       {"model", answer.model},
                       {"usage", Value::Object{{"prompt_tokens", answer.prompt_tokens},
                                               {"total_tokens", answer.prompt_tokens}}}};
}

// Of the options only the length of the context says something about an embedding.
void read_options(Fields& fields, EmbeddingRequest& request) {
  request.keep_alive = read_keep_alive(fields);
  const Value* options = fields.object("options");
  if (options == nullptr) return;
  if (const Value* length = options->find("num_ctx")) {
    const Value only = Value::Object{{"num_ctx", *length}};
    Fields inner(only, "options");
    request.max_tokens = inner.integer("num_ctx", 1);
    if (const Status status = inner.finish(); !status.ok()) fields.fail(status.error());
  }
}

Result<EmbeddingRequest> parse_embed(const Value& body) {
  Fields fields(body);
  EmbeddingRequest request;
  request.model = fields.text("model").value_or("");
  read_inputs(fields, Ids::kRefused, request);
  request.truncate = fields.boolean("truncate").value_or(true);
  request.dimensions = fields.integer("dimensions", 1);
  read_options(fields, request);
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

Value write_embed(const EmbeddingRequest&, const EmbeddingAnswer& answer) {
  Value::Array list;
  for (const std::vector<float>& embedding : answer.embeddings) list.push_back(list_of(embedding));
  return Value::Object{{"model", answer.model},
                       {"embeddings", std::move(list)},
                       {"total_duration", static_cast<int64_t>(answer.seconds * 1e9)},
                       {"load_duration", 0},
                       {"prompt_eval_count", answer.prompt_tokens}};
}

Result<EmbeddingRequest> parse_embeddings(const Value& body) {
  Fields fields(body);
  EmbeddingRequest request{.truncate = true, .normalize = false};
  request.model = fields.text("model").value_or("");
  const auto prompt = fields.text("prompt");
  if (!prompt) fields.fail("prompt", "is missing");
  request.inputs.emplace_back(prompt.value_or(""));
  read_options(fields, request);
  G4_RETURN_IF_ERROR(fields.finish());
  return request;
}

Value write_embeddings(const EmbeddingRequest&, const EmbeddingAnswer& answer) {
  return Value::Object{{"embedding", list_of(answer.embeddings.front())}};
}

}  // namespace

EmbeddingApi openai_embeddings() { return {"/v1/embeddings", parse_openai, write_openai}; }
EmbeddingApi ollama_embed() { return {"/api/embed", parse_embed, write_embed}; }
EmbeddingApi ollama_embeddings() { return {"/api/embeddings", parse_embeddings, write_embeddings}; }

}  // namespace gemma4::serve
