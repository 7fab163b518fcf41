#include "apps/conversation.h"

#include <chrono>
#include <cstdio>
#include <random>
#include <utility>

#include "base/strings.h"
#include "chat/tokens.h"

namespace gemma4::apps {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = chat::Event::Kind;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Generated ids -> shown text: detokenizer, then channels, then stop strings on the visible
// content.
class AnswerReader {
 public:
  AnswerReader(const LoadedModel& model, chat::Markers markers, bool parse_channels,
               const std::vector<std::string>& stops, const AnswerSink& sink, Answer& answer)
      : detokenizer_(*model.tokenizer,
                     parse_channels ? text::SpecialTokens::kSkip : text::SpecialTokens::kKeep),
        markers_(std::move(markers)),
        parser_(markers_),
        parse_channels_(parse_channels),
        stops_(stops),
        sink_(sink),
        answer_(answer) {}

  // True when a stop string ended the answer.
  bool push(int32_t id) {
    if (parse_channels_)
      show(parser_.push(id, markers_.is_stop(id) ? detokenizer_.finish() : detokenizer_.push(id)));
    else if (!markers_.is_stop(id))
      show({{Kind::kContent, detokenizer_.push(id)}});
    return stops_.matched();
  }

  void finish() {
    if (!parse_channels_) {
      show({{Kind::kContent, detokenizer_.finish()}});
    } else if (!parser_.ended()) {
      if (std::string rest = detokenizer_.finish(); !rest.empty()) show(parser_.push(-1, rest));
      show(parser_.finish());
    }
    release(stops_.finish());
  }

 private:
  void show(const std::vector<chat::Event>& events) {
    for (const chat::Event& event : events) {
      if (event.kind == Kind::kReasoning) {
        answer_.reasoning += event.text;
        if (sink_) sink_(event.kind, event.text);
      } else if (event.kind == Kind::kContent) {
        release(stops_.push(event.text));
      }
    }
  }
  void release(const std::string& text) {
    if (text.empty()) return;
    answer_.content += text;
    if (sink_) sink_(Kind::kContent, text);
  }

  text::Detokenizer detokenizer_;
  chat::Markers markers_;
  chat::OutputParser parser_;
  bool parse_channels_;
  text::StopMatcher stops_;
  const AnswerSink& sink_;
  Answer& answer_;
};

}  // namespace

Result<std::unique_ptr<Conversation>> Conversation::create(const ConversationArguments& arguments) {
  G4_ASSIGN_OR_RETURN(auto device, open_device(arguments.engine.device));
  G4_ASSIGN_OR_RETURN(LoadedModel model, load_model(arguments.model, std::move(device)));
  if (!model.template_note.empty())
    std::fprintf(stderr, "gemma4: note: %s\n", model.template_note.c_str());
  G4_ASSIGN_OR_RETURN(engine::SamplingParams sampling, sampling_params(arguments.sampling, model));
  G4_ASSIGN_OR_RETURN(const engine::EngineOptions options,
                      engine_options(arguments.engine, *model.model));
  G4_ASSIGN_OR_RETURN(chat::Markers markers, chat::find_markers(*model.tokenizer));
  markers.stops.insert(markers.stops.end(), model.stop_token_ids.begin(),
                       model.stop_token_ids.end());
  G4_ASSIGN_OR_RETURN(auto engine, engine::Engine::create(model.model, options));
  std::unique_ptr<Conversation> conversation(
      new Conversation(std::move(model), std::move(engine), std::move(sampling), arguments.sampling,
                       std::move(markers)));
  conversation->set_system(arguments.system);
  conversation->set_thinking(arguments.think);
  return conversation;
}

Conversation::Conversation(LoadedModel model, std::unique_ptr<engine::Engine> engine,
                           engine::SamplingParams sampling, const SamplingArguments& arguments,
                           chat::Markers markers)
    : model_(std::move(model)),
      engine_(std::move(engine)),
      sampling_(std::move(sampling)),
      fixed_seed_(arguments.seed.has_value()),
      max_tokens_(arguments.max_tokens > 0 ? arguments.max_tokens
                                           : engine_->options().context_tokens),
      stop_strings_(arguments.stop),
      markers_(std::move(markers)) {}

void Conversation::set_system(std::string text) {
  if (!messages_.empty() && messages_.front().role == "system") messages_.erase(messages_.begin());
  if (!text.empty())
    messages_.insert(messages_.begin(),
                     chat::Message{.role = "system", .content = std::move(text)});
}

void Conversation::clear() {
  const bool has_system = !messages_.empty() && messages_.front().role == "system";
  messages_.resize(has_system ? 1 : 0);
}

Result<Answer> Conversation::ask(const std::string& text, const AnswerSink& sink,
                                 const StopQuestion& stop) {
  std::vector<chat::Message> messages = messages_;
  messages.push_back({.role = "user", .content = text});
  const chat::RenderOptions options{
      .enable_thinking = thinking_,
      .empty_thought = model_.model->config().text.hidden_size_per_layer_input == 0};
  G4_ASSIGN_OR_RETURN(const std::vector<chat::PromptPart> prompt, chat::render(messages, options));
  G4_ASSIGN_OR_RETURN(Answer answer,
                      generate(chat::encode(*model_.tokenizer, prompt), true, sink, stop));
  messages.push_back(
      {.role = "assistant", .content = answer.content, .reasoning = answer.reasoning});
  messages_ = std::move(messages);
  return answer;
}

Result<Answer> Conversation::complete(const std::string& prompt, const AnswerSink& sink,
                                      const StopQuestion& stop) {
  std::vector<int32_t> ids = model_.tokenizer->encode(prompt);
  const int32_t bos = model_.model->config().text.bos_token_id;
  if (ids.empty() || ids.front() != bos)
    ids.insert(ids.begin(), bos);  // a prompt starts with it exactly once
  return generate(std::move(ids), false, sink, stop);
}

Result<Answer> Conversation::generate(std::vector<int32_t> prompt, bool parse_channels,
                                      const AnswerSink& sink, const StopQuestion& stop) {
  if (!fixed_seed_) sampling_.seed = std::random_device()();
  Answer answer;
  answer.stats.prompt_tokens = static_cast<int64_t>(prompt.size());
  AnswerReader reader(model_, markers_, parse_channels, stop_strings_, sink, answer);
  engine::Request request{.prompt = std::move(prompt),
                          .max_tokens = max_tokens_,
                          .sampling = sampling_,
                          .stop_token_ids = model_.stop_token_ids,
                          .keep = true,
                          .continue_from = std::exchange(cached_, std::nullopt)};
  const auto start = Clock::now();
  G4_ASSIGN_OR_RETURN(const engine::SequenceId id, engine_->submit(std::move(request)));
  bool stopped_by_text = false;
  while (engine_->has_work()) {
    if (stop && stop()) engine_->cancel(id);
    G4_ASSIGN_OR_RETURN(const std::vector<engine::Event> events, engine_->step());
    for (const engine::Event& event : events) {
      if (event.finish) answer.finish = *event.finish;
      if (!event.token || stopped_by_text) continue;
      if (answer.stats.completion_tokens == 0) answer.stats.prompt_seconds = seconds_since(start);
      if (answer.finish != engine::FinishReason::kStop || !event.finish)
        ++answer.stats.completion_tokens;
      stopped_by_text = reader.push(event.token->id);
      if (stopped_by_text) engine_->cancel(id);
    }
  }
  reader.finish();
  if (stopped_by_text) answer.finish = engine::FinishReason::kStop;
  answer.stats.reused_tokens = engine_->reused_tokens();
  answer.stats.generate_seconds = seconds_since(start) - answer.stats.prompt_seconds;
  cached_ = id;
  return answer;
}

}  // namespace gemma4::apps
