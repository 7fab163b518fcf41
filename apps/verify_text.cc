#include "apps/verify_text.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "apps/verify_audio.h"
#include "apps/verify_image.h"
#include "base/strings.h"
#include "engine/engine.h"

namespace gemma4::apps {
namespace {

using io::Tensor;
using io::TensorStore;
using Values = std::map<std::string, std::vector<float>>;

// Longer prompts run in chunks of this size: the activations of a step then stay moderate.
constexpr int64_t kChunk = 512;

// Keeps what the probes show, under golden key names. Values of later chunks are appended.
class Recorder : public ops::Probe {
 public:
  // Keeps `only` these keys; all when empty. Hidden states of long prompts take gigabytes.
  explicit Recorder(std::set<std::string> only = {}) : only_(std::move(only)) {}

  void observe(std::string_view name, int layer, const View& value) override {
    if (value.rank == 0) return;
    std::string key(name);
    if (layer >= 0) key += str_cat(".", layer);
    if (!only_.empty() && !only_.contains(key)) return;
    auto& values = values_[key];
    values.insert(values.end(), value.f32(), value.f32() + value.size());
  }
  Values take() { return std::move(values_); }

 private:
  std::set<std::string> only_;
  Values values_;
};

double relative_error(std::span<const float> out, std::span<const float> reference);

// Runs every layer from the reference's own state: compares what the layers before gave, then puts
// the reference's state in its place. Errors of one layer cannot add up with those of others.
class LayerByLayer : public ops::Probe {
 public:
  // `states` [L + 1, T, D]
  explicit LayerByLayer(std::span<const float> states, int64_t layers)
      : states_(states), stride_(states.size() / static_cast<size_t>(layers + 1)) {}

  void observe(std::string_view name, int layer, const View& value) override {
    if (name != "text.hidden") return;
    G4_CHECK_EQ(static_cast<size_t>(value.size()), stride_);
    const auto reference = states_.subspan(static_cast<size_t>(layer) * stride_, stride_);
    worst_ = std::max(worst_, relative_error({value.f32(), stride_}, reference));
    std::copy(reference.begin(), reference.end(), value.f32());
  }
  double worst() const { return worst_; }

 private:
  std::span<const float> states_;
  size_t stride_;
  double worst_ = 0;
};

double relative_error(std::span<const float> out, std::span<const float> reference) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const double d = static_cast<double>(out[i]) - reference[i];
    difference += d * d;
    norm += static_cast<double>(reference[i]) * reference[i];
  }
  if (!std::isfinite(difference)) return INFINITY;
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

Result<std::vector<int32_t>> read_ids(const TensorStore& golden, std::string_view key,
                                      int64_t limit) {
  const Tensor* tensor = golden.find(key);
  if (tensor == nullptr) return Error{ErrorCode::kNotFound, str_cat("key ", key, " is missing")};
  G4_ASSIGN_OR_RETURN(const std::vector<int64_t> wide, io::read_integers(*tensor));
  std::vector<int32_t> ids;
  for (const int64_t id : wide) {
    if (id < 0 || id >= limit)
      return Error{ErrorCode::kInvalidData,
                   str_cat("key ", key, " holds ", id, ", outside 0 to ", limit - 1)};
    ids.push_back(static_cast<int32_t>(id));
  }
  if (ids.empty()) return Error{ErrorCode::kInvalidData, str_cat("key ", key, " is empty")};
  return ids;
}

class Verifier {
 public:
  Verifier(const TextRunner& runner, const TensorStore& golden, const VerifyOptions& options)
      : runner_(runner), golden_(golden), options_(options) {}

  std::vector<KeyResult> run() {
    for (const auto& [key, tensor] : golden_.tensors())
      if (fnmatch(options_.keys.c_str(), key.c_str(), 0) == 0 && !is_input(key)) check(key, tensor);
    return std::move(results_);
  }

 private:
  static bool is_input(const std::string& key) {
    return key == "input_ids" || key == "positions" || key.ends_with(".input_ids");
  }

  void check(const std::string& key, const Tensor& tensor) {
    KeyResult result{.key = key, .shape = tensor.shape, .tolerance = options_.tolerance};
    Status status;
    if (key == "text.greedy") {
      status = check_greedy(tensor, "text.input_ids", {}, result);
    } else if (key.starts_with("audio.")) {
      status = check_audio(key, tensor, result);
    } else if (key.starts_with("image.")) {
      status = check_image(key, tensor, result);
    } else if (key == "text.greedy_logits") {
      status = check_floats(tensor, greedy_values(), "text.logits", result);
    } else if (key == "logits" || key == "last_hidden") {
      status = check_floats(tensor, full_size_values(),
                            key == "logits" ? "text.logits" : last_hidden_key(), result);
    } else if (key == "layers.hidden") {
      status = check_layers(tensor, result);
    } else if (key.starts_with("text.")) {
      status = check_floats(tensor, prompt_values(), key, result);
    } else {
      status = Error{ErrorCode::kUnsupported, "this build does not compute it"};
    }
    if (!status.ok()) result.problem = status.error().message;
    result.computed = status.ok();
    results_.push_back(std::move(result));
  }

  static Status check_floats(const Tensor& tensor, const Result<Values>& values,
                             const std::string& name, KeyResult& result) {
    if (!values.ok()) return values.error();
    const auto it = values.value().find(name);
    if (it == values.value().end())
      return Error{ErrorCode::kUnsupported, "this build does not compute it"};
    G4_ASSIGN_OR_RETURN(const std::vector<float> reference, io::read_floats(tensor));
    if (reference.size() != it->second.size())
      return Error{
          ErrorCode::kInvalidData,
          str_cat("has ", reference.size(), " values, this model gives ", it->second.size())};
    result.relative_error = relative_error(it->second, reference);
    return {};
  }

  // Every value of one forward over `ids`, all layers over all rows.
  Result<Values> observe(const std::vector<int32_t>& ids, const std::vector<int32_t>& positions,
                         std::span<const model::SoftSpan> media = {}) const {
    Recorder recorder;
    G4_RETURN_IF_ERROR(runner_.logits(ids, positions, static_cast<int64_t>(ids.size()),
                                      {.prompt_shortcut = false}, &recorder, media));
    return recorder.take();
  }

  // What the tower makes of the golden's sound, and what the decoder makes of that.
  Status check_audio(const std::string& key, const Tensor& tensor, KeyResult& result) {
    if (!heard_) heard_ = hear(runner_.model(), runner_.device(), options_.sounds);
    if (!heard_->ok()) return heard_->error();
    const Heard& heard = heard_->value();
    if (key == "audio.mask") {
      result.exact = true;
      result.tolerance = 0;
      G4_ASSIGN_OR_RETURN(const std::vector<int64_t> mask, io::read_integers(tensor));
      const auto tokens = static_cast<size_t>(heard.soft->count());
      result.relative_error = mask == std::vector<int64_t>(tokens, 1) ? 0 : 1;
      return {};
    }
    if (key == "audio.tower") return check_floats(tensor, heard.values, key, result);
    if (key == "audio.soft") return check_floats(tensor, heard.values, key, result);
    G4_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                        read_ids(golden_, "audio.input_ids", vocab_size()));
    G4_ASSIGN_OR_RETURN(const auto spans, place(runner_.model(), ids, {heard.soft}));
    if (key == "audio.greedy") return check_greedy(tensor, "audio.input_ids", spans, result);
    if (key == "audio.logits")
      return check_floats(tensor, observe(ids, all_positions(ids.size()), spans), "text.logits",
                          result);
    return Error{ErrorCode::kUnsupported, "this build does not compute it"};
  }

  // The same of the golden's pictures.
  Status check_image(const std::string& key, const Tensor& tensor, KeyResult& result) {
    if (!seen_) seen_ = see(runner_.model(), runner_.device(), options_.pictures);
    if (!seen_->ok()) return seen_->error();
    const Seen& seen = seen_->value();
    if (seen.values.contains(key)) return check_floats(tensor, seen.values, key, result);
    G4_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                        read_ids(golden_, "image.input_ids", vocab_size()));
    G4_ASSIGN_OR_RETURN(
        const auto spans,
        model::place_media(runner_.model().config().media_token_ids, ids, seen.items));
    if (key == "image.greedy") return check_greedy(tensor, "image.input_ids", spans, result);
    // Measured: with this cache the reference's mask for the 12B is causal (ADR 26).
    if (key == "image.greedy_static_cache")
      return check_greedy(tensor, "image.input_ids", spans, result, true);
    if (key == "image.logits")
      return check_floats(tensor, observe(ids, all_positions(ids.size()), spans), "text.logits",
                          result);
    return Error{ErrorCode::kUnsupported, "this build does not compute it"};
  }

  static std::vector<int32_t> all_positions(size_t count) {
    std::vector<int32_t> positions(count);
    std::iota(positions.begin(), positions.end(), 0);
    return positions;
  }

  std::string last_hidden_key() const {
    return str_cat("text.hidden.", runner_.model().config().text.num_hidden_layers);
  }
  int64_t vocab_size() const { return runner_.model().config().text.vocab_size; }

  Result<Values> forward_all(const char* key) const {
    G4_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, read_ids(golden_, key, vocab_size()));
    return observe(ids, all_positions(ids.size()));
  }

  const Result<Values>& prompt_values() {
    if (!prompt_) prompt_ = forward_all("text.input_ids");
    return *prompt_;
  }
  const Result<Values>& greedy_values() {
    if (!greedy_) greedy_ = forward_all("text.greedy");
    return *greedy_;
  }

  // The full-size layout: chunked, and with the prompt shortcut, as users run it.
  const Result<Values>& full_size_values() {
    if (!full_size_) full_size_ = compute_full_size();
    return *full_size_;
  }
  Result<Values> compute_full_size() const {
    G4_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                        read_ids(golden_, "input_ids", vocab_size()));
    G4_ASSIGN_OR_RETURN(const std::vector<int32_t> positions,
                        read_ids(golden_, "positions", static_cast<int64_t>(ids.size())));
    if (!std::is_sorted(positions.begin(), positions.end(), std::less_equal<>()))
      return Error{ErrorCode::kInvalidData, "key positions must rise"};
    Recorder recorder({"text.logits", last_hidden_key()});
    G4_RETURN_IF_ERROR(runner_.logits(ids, positions, kChunk, {}, &recorder));
    return recorder.take();
  }

  // The worst layer of all, each run from the reference's state before it.
  Status check_layers(const Tensor& tensor, KeyResult& result) const {
    G4_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                        read_ids(golden_, "layers.input_ids", vocab_size()));
    const model::TextConfig& text = runner_.model().config().text;
    const std::vector<int64_t> shape = {text.num_hidden_layers + 1,
                                        static_cast<int64_t>(ids.size()), text.hidden_size};
    if (tensor.shape != shape)
      return Error{ErrorCode::kInvalidData,
                   str_cat("has shape ", io::shape_string(tensor.shape), ", this model needs ",
                           io::shape_string(shape))};
    G4_ASSIGN_OR_RETURN(const std::vector<float> states, io::read_floats(tensor));
    LayerByLayer probe(states, text.num_hidden_layers);
    const auto positions = all_positions(ids.size());
    G4_RETURN_IF_ERROR(runner_.logits(ids, positions, static_cast<int64_t>(ids.size()),
                                      {.prompt_shortcut = false}, &probe));
    result.relative_error = probe.worst();
    return {};
  }

  // Greedy decoding with the cache, through the engine: the path that users run. Where two logits
  // are closer to each other than logits may be to the reference's, either is right; the engine
  // then goes on from the reference's token.
  Status check_greedy(const Tensor& tensor, const char* prompt_key,
                      const std::vector<model::SoftSpan>& media, KeyResult& result,
                      bool causal_pictures = false) const {
    result.exact = true;
    result.tolerance = 0;
    G4_ASSIGN_OR_RETURN(const std::vector<int64_t> expected, io::read_integers(tensor));
    G4_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, read_ids(golden_, prompt_key, vocab_size()));
    if (expected.size() <= tokens.size())
      return Error{ErrorCode::kInvalidData, "is not longer than its prompt"};
    engine::EngineOptions engine_options{.context_tokens = static_cast<int64_t>(expected.size()),
                                         .prefix_cache = false,
                                         .cpu = {.num_threads = options_.num_threads},
                                         .causal_pictures = causal_pictures};
    G4_ASSIGN_OR_RETURN(const auto engine,
                        engine::Engine::create(runner_.shared_model(), engine_options));
    size_t agreed = tokens.size();
    for (;;) {
      G4_RETURN_IF_ERROR(generate(*engine, media, expected.size(), tokens));
      while (agreed < expected.size() && tokens[agreed] == expected[agreed]) ++agreed;
      if (agreed == expected.size()) return {};
      const int64_t wanted = expected[agreed];
      if (wanted < 0 || wanted >= vocab_size()) break;
      G4_ASSIGN_OR_RETURN(const bool tie, is_tie({tokens.data(), agreed}, media, tokens[agreed],
                                                 static_cast<int32_t>(wanted)));
      if (causal_pictures || !tie) break;
      ++result.ties;
      tokens.resize(agreed);
      tokens.push_back(static_cast<int32_t>(wanted));
      if (++agreed == expected.size()) return {};
    }
    int64_t different = 0;
    for (size_t i = 0; i < expected.size(); ++i) different += tokens[i] != expected[i] ? 1 : 0;
    result.relative_error = static_cast<double>(different) / static_cast<double>(expected.size());
    return {};
  }

  // Appends what follows `tokens` greedily, up to `length`.
  static Status generate(engine::Engine& engine, const std::vector<model::SoftSpan>& media,
                         size_t length, std::vector<int32_t>& tokens) {
    engine::Request request{.prompt = tokens,
                            .media = media,
                            .max_tokens = static_cast<int64_t>(length - tokens.size())};
    request.sampling.temperature = 0;
    G4_ASSIGN_OR_RETURN([[maybe_unused]] const auto id, engine.submit(std::move(request)));
    while (engine.has_work()) {
      G4_ASSIGN_OR_RETURN(const std::vector<engine::Event> events, engine.step());
      for (const engine::Event& event : events)
        if (event.token) tokens.push_back(event.token->id);
    }
    tokens.resize(length, -1);  // an end before it is no agreement
    return {};
  }

  // Whether the logits of two ids after `prefix` differ by less than the tolerance of logits.
  Result<bool> is_tie(std::span<const int32_t> prefix, const std::vector<model::SoftSpan>& media,
                      int32_t a, int32_t b) const {
    const int32_t last = static_cast<int32_t>(prefix.size()) - 1;
    G4_ASSIGN_OR_RETURN(const std::vector<float> logits,
                        runner_.logits(prefix, {&last, 1}, static_cast<int64_t>(prefix.size()), {},
                                       nullptr, media));
    double squares = 0;
    for (const float logit : logits) squares += static_cast<double>(logit) * logit;
    const double rms = std::sqrt(squares / static_cast<double>(logits.size()));
    const auto logit = [&](int32_t id) {
      return id < 0 ? INFINITY : logits[static_cast<size_t>(id)];
    };
    return std::abs(logit(a) - logit(b)) <= options_.tolerance * rms;
  }

  const TextRunner& runner_;
  const TensorStore& golden_;
  const VerifyOptions& options_;
  std::vector<KeyResult> results_;
  std::optional<Result<Values>> prompt_;
  std::optional<Result<Values>> greedy_;
  std::optional<Result<Values>> full_size_;
  std::optional<Result<Heard>> heard_;
  std::optional<Result<Seen>> seen_;
};

}  // namespace

Result<std::vector<KeyResult>> verify_golden(std::shared_ptr<const model::Model> model,
                                             const TensorStore& golden,
                                             const VerifyOptions& options) {
  G4_ASSIGN_OR_RETURN(const TextRunner runner,
                      TextRunner::create(std::move(model), options.num_threads, options.kv_type));
  std::vector<KeyResult> results = Verifier(runner, golden, options).run();
  if (results.empty())
    return Error{ErrorCode::kNotFound,
                 str_cat(golden.path(), ": no key matches ", quote(options.keys))};
  return results;
}

}  // namespace gemma4::apps
