#include "apps/conversation.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <random>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "chat/effort.h"
#include "chat/tokens.h"

namespace gemma4::apps {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The messages that give `results` to the first of `calls`, and `rest` to the others.
void add_results(const std::vector<chat::ToolCall>& calls, const std::vector<std::string>& results,
                 const std::string& rest, std::vector<chat::Message>& messages) {
  for (size_t i = 0; i < calls.size(); ++i)
    messages.push_back({.role = "tool",
                        .content = i < results.size() ? results[i] : rest,
                        .tool_call_id = calls[i].id});
}

}  // namespace

double AnswerStats::tokens_per_second() const {
  // The first token of an answer is the prompt's work.
  const int64_t generated = completion_tokens - num_answers;
  return generate_seconds > 0 && generated > 0 ? static_cast<double>(generated) / generate_seconds
                                               : 0;
}

AnswerStats& AnswerStats::operator+=(const AnswerStats& next) {
  prompt_tokens += next.prompt_tokens;
  reused_tokens += next.reused_tokens;
  completion_tokens += next.completion_tokens;
  generate_seconds += next.generate_seconds;
  num_answers += next.num_answers;
  return *this;
}

Result<std::unique_ptr<Conversation>> Conversation::create(ConversationArguments arguments) {
  if (const auto effort = chat::effort_of(arguments.answer.effort)) {
    arguments.think = effort->thinking;
    if (effort->thinking_budget < std::numeric_limits<int64_t>::max())
      arguments.answer.think_tokens = effort->thinking_budget;
  }
  G4_ASSIGN_OR_RETURN(auto device, open_device(arguments.engine.device, arguments.engine.threads));
  G4_ASSIGN_OR_RETURN(LoadedModel model, load_model(arguments.model, std::move(device),
                                                    {arguments.engine.quantize,
                                                     projector_choice(arguments.projector)}));
  for (const std::string& note : {model.template_note, model.model->projector().note})
    if (!note.empty()) std::fprintf(stderr, "gemma4: note: %s\n", note.c_str());
  G4_ASSIGN_OR_RETURN(engine::SamplingParams sampling, sampling_params(arguments.sampling, model));
  G4_ASSIGN_OR_RETURN(engine::EngineOptions options,
                      engine_options(arguments.engine, *model.model));
  make_room_for_pictures(options, *model.model, arguments.media.image_budget);
  make_room_for_pictures(options, *model.model, arguments.media.film.frame_budget);
  G4_ASSIGN_OR_RETURN(chat::Markers markers, answer::answer_markers(model));
  G4_ASSIGN_OR_RETURN(AnswerForm form, load_form(arguments.answer, model.tokenizer));
  sampling.suppress_tokens.insert(sampling.suppress_tokens.end(), form.suppressed().begin(),
                                  form.suppressed().end());
  G4_ASSIGN_OR_RETURN(auto engine, engine::Engine::create(model.model, options));
  std::unique_ptr<Conversation> conversation(new Conversation(std::move(model), std::move(engine),
                                                              std::move(sampling), arguments,
                                                              std::move(markers), std::move(form)));
  conversation->set_system(arguments.system);
  conversation->set_thinking(arguments.think);
  return conversation;
}

Conversation::Conversation(LoadedModel model, std::unique_ptr<engine::Engine> engine,
                           engine::SamplingParams sampling, const ConversationArguments& arguments,
                           chat::Markers markers, AnswerForm form)
    : model_(std::move(model)),
      engine_(std::move(engine)),
      sampling_(std::move(sampling)),
      fixed_seed_(arguments.sampling.seed.has_value()),
      max_tokens_(arguments.sampling.max_tokens > 0 ? arguments.sampling.max_tokens
                                                    : engine_->options().context_tokens),
      stop_strings_(arguments.sampling.stop),
      markers_(std::move(markers)),
      form_(std::move(form)),
      media_reader_(model_.model, model_.tokenizer, engine_->shared_device(),
                    arguments.media.limits) {}

std::string_view finish_reason(const Answer& answer) {
  if (answer.finish == engine::FinishReason::kStop && !answer.message.tool_calls.empty())
    return "tool_calls";
  return engine::name_of(answer.finish);
}

void Conversation::set_system(std::string text) {
  if (!messages_.empty() && messages_.front().role == "system") messages_.erase(messages_.begin());
  if (!text.empty())
    messages_.insert(messages_.begin(),
                     chat::Message{.role = "system", .content = std::move(text)});
}

void Conversation::clear() {
  const bool has_system = !messages_.empty() && messages_.front().role == "system";
  messages_.resize(has_system ? 1 : 0);
  media_.clear();
  attached_.clear();
}

Result<PreparedMedia> Conversation::attach_image(const std::string& source, int64_t budget) {
  G4_ASSIGN_OR_RETURN(PreparedMedia picture, media_reader_.image(source, budget));
  attached_.push_back(picture);
  return picture;
}

Result<PreparedMedia> Conversation::attach_audio(const std::string& source) {
  G4_ASSIGN_OR_RETURN(PreparedMedia sound, media_reader_.sound(source));
  attached_.push_back(sound);
  return sound;
}

Result<std::vector<PreparedMedia>> Conversation::attach_video(const std::string& source,
                                                              const FilmOptions& options) {
  G4_ASSIGN_OR_RETURN(std::vector<PreparedMedia> film, media_reader_.film(source, options));
  attached_.insert(attached_.end(), film.begin(), film.end());
  return film;
}

Result<Answer> Conversation::ask(const std::string& text, const AnswerSink& sink,
                                 const StopQuestion& stop) {
  std::vector<chat::Message> messages = messages_;
  if (attached_.empty()) {
    messages.push_back({.role = "user", .content = text});
    return respond(std::move(messages), media_, sink, stop);
  }
  std::vector<chat::ContentPart> parts;
  std::vector<PreparedMedia> media = media_;
  for (const bool after_text : {false, true}) {
    if (after_text) parts.push_back({.text = text});
    for (const PreparedMedia& attached : attached_) {
      if (attached.after_text != after_text) continue;
      parts.push_back(attached.part);
      media.push_back(attached);
    }
  }
  messages.push_back({.role = "user", .content = std::move(parts)});
  Result<Answer> answer = respond(std::move(messages), std::move(media), sink, stop);
  if (answer.ok()) attached_.clear();
  return answer;
}

Result<Answer> Conversation::answer_calls(const std::vector<std::string>& results,
                                          const AnswerSink& sink, const StopQuestion& stop) {
  G4_CHECK_EQ(results.size(), open_calls().size());
  std::vector<chat::Message> messages = messages_;
  add_results(open_calls(), results, "", messages);
  return respond(std::move(messages), media_, sink, stop);
}

const std::vector<chat::ToolCall>& Conversation::open_calls() const {
  static const std::vector<chat::ToolCall> kNone;
  return messages_.empty() ? kNone : messages_.back().tool_calls;
}

void Conversation::close_calls(const std::vector<std::string>& results, const std::string& rest) {
  const std::vector<chat::ToolCall> calls = open_calls();
  add_results(calls, results, rest, messages_);
}

Result<Answer> Conversation::respond(std::vector<chat::Message> messages,
                                     std::vector<PreparedMedia> media, const AnswerSink& sink,
                                     const StopQuestion& stop) {
  const chat::RenderOptions options = answer::render_options(model_, thinking_);
  G4_ASSIGN_OR_RETURN(const std::vector<chat::PromptPart> prompt,
                      chat::render(messages, options, form_.tools()));
  const AnswerStart start{.thinking = thinking_,
                          .in_thought = chat::ends_in_thought(prompt),
                          .after_results = messages.back().role == "tool"};
  chat::ParserOptions reading{
      .start = start.in_thought ? chat::ParserOptions::Start::kReasoning
                                : chat::ParserOptions::Start::kContent,
      .tool_calls = form_.reads_calls() ? chat::ToolCalls::kRead : chat::ToolCalls::kIgnore,
      .tools = form_.tools()};
  AnswerReader reader(model_, markers_, Reading::kChat, std::move(reading), stop_strings_, sink);
  G4_ASSIGN_OR_RETURN(Prompt encoded, answer::encode_prompt(model_, prompt, media, media_reader_));
  G4_ASSIGN_OR_RETURN(Answer answer,
                      generate(std::move(encoded), form_.constraint(start), reader, stop));
  for (chat::ToolCall& call : answer.message.tool_calls) call.id = str_cat("call_", ++num_calls_);
  messages.push_back(answer.message);
  messages_ = std::move(messages);
  media_ = std::move(media);
  return answer;
}

Result<Answer> Conversation::complete(const std::string& prompt, const AnswerSink& sink,
                                      const StopQuestion& stop) {
  AnswerReader reader(model_, markers_, Reading::kRaw, {}, stop_strings_, sink);
  return generate({answer::encode_text(model_, prompt)}, form_.raw_constraint(), reader, stop);
}

Result<Answer> Conversation::generate(Prompt prompt, std::shared_ptr<TokenConstraint> constraint,
                                      AnswerReader& reader, const StopQuestion& stop) {
  if (!fixed_seed_) sampling_.seed = std::random_device()();
  Answer answer;
  answer.stats.prompt_tokens = static_cast<int64_t>(prompt.ids.size());
  engine::Request request{.prompt = std::move(prompt.ids),
                          .media = std::move(prompt.media),
                          .max_tokens = max_tokens_,
                          .sampling = sampling_,
                          .stop_token_ids = model_.stop_token_ids,
                          .constraint = std::move(constraint)};
  const auto start = Clock::now();
  G4_ASSIGN_OR_RETURN(const engine::SequenceId id, engine_->submit(std::move(request)));
  bool stopped_by_text = false;
  while (engine_->has_work()) {
    if (stop && stop()) engine_->cancel(id);
    G4_ASSIGN_OR_RETURN(const std::vector<engine::Event> events, engine_->step());
    for (const engine::Event& event : events) {
      if (event.finish) answer.finish = *event.finish;
      if (event.error) answer.error = event.error;
      answer.stats.reused_tokens = event.cached_prompt_tokens;
      if (!event.token || stopped_by_text) continue;
      if (answer.stats.completion_tokens == 0) answer.stats.prompt_seconds = seconds_since(start);
      if (answer.finish != engine::FinishReason::kStop || !event.finish)
        ++answer.stats.completion_tokens;
      stopped_by_text = reader.push(event.token->id);
      if (stopped_by_text) engine_->cancel(id);
    }
  }
  reader.finish();
  answer.message = reader.message();
  if (stopped_by_text) {
    answer.finish = engine::FinishReason::kStop;
    answer.error.reset();
  }
  answer.stats.generate_seconds = seconds_since(start) - answer.stats.prompt_seconds;
  return answer;
}

}  // namespace gemma4::apps
