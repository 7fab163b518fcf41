#include "serve/answer_run.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "chat/chat_format.h"
#include "serve/random_id.h"

namespace gemma4::serve {

using ChatKind = chat::Event::Kind;
using Kind = AnswerEvent::Kind;

struct AnswerRun::Choice {
  int index = 0;
  std::optional<engine::SequenceId> id;  // once it is known
  answer::AnswerSink sink;               // the reader refers to it
  std::unique_ptr<answer::AnswerReader> reader;
  bool ended = false;
  bool in_thought = false;
  bool in_call = false;
  bool has_calls = false;
  std::string call_id;
  std::vector<TokenLogprobs> logprobs;  // of tokens whose text has not been passed on
  Clock::time_point last_token;
  int64_t num_tokens = 0;
};

namespace {

double seconds_between(AnswerRun::Clock::time_point a, AnswerRun::Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

// What `id` writes; bytes that need not be UTF-8.
std::string text_of(const text::Tokenizer& tokenizer, int32_t id) {
  if (tokenizer.is_byte(id)) return std::string(1, static_cast<char>(tokenizer.byte_value(id)));
  std::string text;
  tokenizer.append_text(id, text);
  return text;
}

TokenLogprobs logprobs_of(const text::Tokenizer& tokenizer, const engine::SampledToken& token) {
  TokenLogprobs entry;
  entry.id = token.id;
  entry.text = text_of(tokenizer, token.id);
  entry.logprob = token.logprob;
  for (const engine::TokenLogprob& top : token.top)
    entry.top.push_back({top.id, text_of(tokenizer, top.id), top.logprob});
  return entry;
}

// The text of an assistant's message that the answer goes on with.
Result<std::string> begun_text(const chat::Message& message) {
  if (!message.tool_calls.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "messages: the last one has tool calls, so that no answer can go on with it"};
  if (const auto* text = std::get_if<std::string>(&message.content)) return *text;
  std::string text;
  if (const auto* parts = std::get_if<std::vector<chat::ContentPart>>(&message.content))
    for (const chat::ContentPart& part : *parts) text += part.text;
  return text;
}

}  // namespace

AnswerRun::AnswerRun(ModelLease model, ChatRequest request, Metrics& metrics,
                     Clock::time_point arrival)
    : model_(std::move(model)),
      request_(std::move(request)),
      metrics_(metrics),
      arrival_(arrival) {}

Result<std::shared_ptr<AnswerRun>> AnswerRun::prepare(ModelLease model, ChatRequest request,
                                                      Metrics& metrics, Clock::time_point arrival) {
  const std::shared_ptr<AnswerRun> run(
      new AnswerRun(std::move(model), std::move(request), metrics, arrival));
  ServedModel& served = *run->model_;
  G4_ASSIGN_OR_RETURN(run->form_,
                      served.forms().compile(std::move(run->request_.form), run->request_.names));
  G4_RETURN_IF_ERROR(run->request_.prompts.empty() ? run->prepare_chat() : run->prepare_raw());
  if (!run->request_.sampling.seed) run->request_.sampling.seed = random_seed();
  G4_RETURN_IF_ERROR(engine::validate(run->engine_request(run->prompts_.front(), 0).sampling,
                                      served.loaded().model->config().text.vocab_size));
  return run;
}

Status AnswerRun::prepare_chat() {
  if (request_.conversations.empty()) return prepare_conversation(request_.messages);
  for (std::vector<chat::Message>& messages : request_.conversations)
    G4_RETURN_IF_ERROR(prepare_conversation(messages));
  return {};
}

Status AnswerRun::prepare_conversation(std::vector<chat::Message>& messages) {
  const answer::LoadedModel& loaded = model_->loaded();
  std::string begun;
  if (request_.continue_last) {
    G4_ASSIGN_OR_RETURN(begun, begun_text(messages.back()));
    messages.pop_back();
  }
  G4_ASSIGN_OR_RETURN(const auto media, model_->read_media(messages));
  chat::RenderOptions options = answer::render_options(loaded, request_.thinking);
  options.preserve_thinking = request_.preserve_thinking;
  G4_ASSIGN_OR_RETURN(std::vector<chat::PromptPart> parts,
                      chat::render(messages, options, form_.tools()));
  Prepared prepared;
  // What a request says of calls holds after results, too: whoever asks again says it again.
  prepared.start = {.thinking = request_.thinking && begun.empty(),
                    .in_thought = chat::ends_in_thought(parts) && begun.empty()};
  if (!begun.empty()) {
    if (chat::ends_in_thought(parts)) parts.push_back({"<channel|>", true});
    parts.push_back({std::move(begun), false});
  }
  G4_ASSIGN_OR_RETURN(prepared.prompt, model_->encode(std::move(parts), media));
  prompts_.push_back(std::move(prepared));
  messages.clear();
  return {};
}

Status AnswerRun::prepare_raw() {
  const answer::LoadedModel& loaded = model_->loaded();
  for (RawPrompt& prompt : request_.prompts) {
    Prepared prepared;
    if (auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      prepared.prompt.ids = std::move(*ids);
    } else {
      prepared.prompt.ids = answer::encode_text(loaded, std::get<std::string>(prompt));
    }
    if (request_.echo) {
      const std::vector<int32_t>& ids = prepared.prompt.ids;
      const bool has_bos = !ids.empty() && ids.front() == loaded.model->config().text.bos_token_id;
      prepared.echo =
          loaded.tokenizer->decode(std::span<const int32_t>(ids).subspan(has_bos ? 1 : 0));
    }
    prompts_.push_back(std::move(prepared));
  }
  return {};
}

std::optional<Error> AnswerRun::too_long() const {
  for (const Prepared& prepared : prompts_) {
    const auto length = static_cast<int64_t>(prepared.prompt.ids.size());
    if (length >= model_->context_tokens())
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("this model's maximum context length is ", model_->context_tokens(),
                           " tokens, prompt and answer together; the prompt has ", length,
                           " tokens: shorten it")};
  }
  return std::nullopt;
}

int64_t AnswerRun::prompt_tokens() const {
  int64_t tokens = 0;
  for (const Prepared& prepared : prompts_)
    tokens += static_cast<int64_t>(prepared.prompt.ids.size());
  return tokens;
}

engine::Request AnswerRun::engine_request(const Prepared& prepared, int choice) const {
  const answer::LoadedModel& loaded = model_->loaded();
  const SamplingChoice& asked = request_.sampling;
  engine::SamplingParams sampling;
  sampling.temperature = asked.temperature.value_or(loaded.generation.temperature);
  sampling.top_k = asked.top_k.value_or(loaded.generation.top_k);
  sampling.top_p = asked.top_p.value_or(loaded.generation.top_p);
  sampling.min_p = asked.min_p.value_or(0);
  sampling.repetition_penalty = asked.repetition_penalty.value_or(1);
  sampling.presence_penalty = asked.presence_penalty.value_or(0);
  sampling.frequency_penalty = asked.frequency_penalty.value_or(0);
  sampling.logit_bias = asked.logit_bias;
  sampling.suppress_tokens = loaded.generation.suppress_tokens;
  sampling.suppress_tokens.insert(sampling.suppress_tokens.end(), form_.suppressed().begin(),
                                  form_.suppressed().end());
  // Answers of one request differ, as if they had been asked for one by one.
  sampling.seed = asked.seed.value_or(0) + static_cast<uint64_t>(choice);
  if (request_.num_logprobs) sampling.num_logprobs = *request_.num_logprobs;
  return {.prompt = prepared.prompt.ids,
          .media = prepared.prompt.media,
          .max_tokens = request_.max_tokens.value_or(model_->context_tokens()),
          .sampling = std::move(sampling),
          .stop_token_ids = loaded.stop_token_ids,
          .constraint =
              request_.prompts.empty() ? form_.constraint(prepared.start) : form_.raw_constraint()};
}

std::unique_ptr<AnswerRun::Choice> AnswerRun::make_choice(const Prepared& prepared, int index) {
  auto choice = std::make_unique<Choice>();
  choice->index = index;
  choice->in_thought = prepared.start.in_thought;
  choice->sink = [this, made = choice.get()](const chat::Event& event) { pass_on(*made, event); };
  chat::ParserOptions reading{
      .start = choice->in_thought ? chat::ParserOptions::Start::kReasoning
                                  : chat::ParserOptions::Start::kContent,
      .tool_calls = form_.reads_calls() ? chat::ToolCalls::kRead : chat::ToolCalls::kIgnore,
      .tools = form_.tools()};
  choice->reader = std::make_unique<answer::AnswerReader>(
      model_->loaded(), model_->markers(),
      request_.prompts.empty() ? answer::Reading::kChat : answer::Reading::kRaw, std::move(reading),
      request_.stop, choice->sink);
  return choice;
}

Status AnswerRun::start(const Post& post, Listener listener) {
  listener_ = std::move(listener);
  usage_.prompt_tokens = prompt_tokens();
  for (int index = 0; index < num_choices(); ++index)
    choices_.push_back(make_choice(prompt_of(index), index));
  started_ = Clock::now();
  const auto self = shared_from_this();
  for (int index = 0; index < num_choices(); ++index) {
    const auto id = model_->source().submit(
        engine_request(prompt_of(index), index % request_.n),
        [self, post, index](const engine::Event& event) {
          post([self, index, event] { self->receive(static_cast<size_t>(index), event); });
        });
    if (!id.ok()) {
      post([self] { self->give_up(); });
      return id.error();
    }
    post([self, index, id = id.value()] { self->submitted(static_cast<size_t>(index), id); });
  }
  post([self] { self->open(); });
  return {};
}

void AnswerRun::submitted(size_t index, engine::SequenceId id) {
  choices_[index]->id = id;
  if (is_over_ && !choices_[index]->ended) model_->source().cancel(id);
}

void AnswerRun::open() {
  if (is_over_) return;
  is_open_ = true;
  listener_.begin();
  for (const auto& choice : choices_)
    if (const std::string& echo = prompt_of(choice->index).echo; !echo.empty())
      listener_.event({.kind = Kind::kContent, .choice = choice->index, .text = echo});
  for (const auto& [index, event] : std::exchange(early_, {})) take(index, event);
}

void AnswerRun::receive(size_t index, const engine::Event& event) {
  if (is_open_) return take(index, event);
  if (!is_over_) early_.emplace_back(index, event);
}

void AnswerRun::cancel() {
  if (is_over_) return;
  metrics_.cancelled(model_->name());
  give_up();
}

void AnswerRun::give_up() {
  is_over_ = true;
  cancel_sequences();
  listener_ = {};
}

void AnswerRun::cancel_sequences() {
  for (const auto& choice : choices_)
    if (!choice->ended && choice->id) model_->source().cancel(*choice->id);
}

void AnswerRun::take(size_t index, const engine::Event& event) {
  Choice& choice = *choices_[index];
  if (is_over_ || choice.ended) return;
  const bool is_stop_token = event.finish == engine::FinishReason::kStop;
  if (event.token) {
    // Of a prompt that is answered several times, the first answer's: usage counts it once as well.
    if (choice.num_tokens == 0 && choice.index % request_.n == 0)
      usage_.cached_tokens += event.cached_prompt_tokens;
    if (!is_stop_token) ++usage_.completion_tokens;
    take_token(choice, *event.token);
  }
  if (is_over_) return;
  if (!choice.reader->stop_string().empty()) {
    if (!event.finish) model_->source().cancel(event.sequence);
    return finish_choice(choice, engine::FinishReason::kStop);
  }
  if (!event.finish) return;
  if (event.error || *event.finish == engine::FinishReason::kError ||
      *event.finish == engine::FinishReason::kCancelled) {
    is_over_ = true;
    choice.ended = true;
    cancel_sequences();
    const Listener listener = std::exchange(listener_, {});
    return listener.fail(event.error ? *event.error
                                     : Error{ErrorCode::kUnavailable, "the server stopped"});
  }
  finish_choice(choice, *event.finish);
}

void AnswerRun::take_token(Choice& choice, const engine::SampledToken& token) {
  const Clock::time_point now = Clock::now();
  if (choice.num_tokens++ == 0) {
    metrics_.first_token(model_->name(), seconds_between(arrival_, now));
    if (!first_token_) first_token_ = now;
  } else {
    metrics_.next_token(model_->name(), seconds_between(choice.last_token, now));
  }
  choice.last_token = now;

  const chat::Markers& markers = model_->markers();
  const bool is_chat = request_.prompts.empty();
  const bool is_marker = token.id == markers.channel_open || token.id == markers.channel_close ||
                         token.id == markers.tool_call_open || token.id == markers.tool_call_close;
  if (is_chat && token.id == markers.channel_open) choice.in_thought = true;
  if (is_chat && token.id == markers.tool_call_open && form_.reads_calls()) choice.in_call = true;
  if (choice.in_thought && !markers.is_stop(token.id)) ++usage_.reasoning_tokens;
  if (request_.num_logprobs && !choice.in_thought && !choice.in_call && !(is_chat && is_marker) &&
      !markers.is_stop(token.id))
    choice.logprobs.push_back(logprobs_of(*model_->loaded().tokenizer, token));
  if (token.id == markers.channel_close) choice.in_thought = false;
  if (token.id == markers.tool_call_close) choice.in_call = false;
  choice.reader->push(token.id);
}

void AnswerRun::pass_on(Choice& choice, const chat::Event& event) {
  if (is_over_) return;
  AnswerEvent out{.choice = choice.index, .text = event.text, .call = event.call_idx};
  switch (event.kind) {
    case ChatKind::kReasoning:
      out.kind = Kind::kReasoning;
      break;
    case ChatKind::kContent:
      out.kind = Kind::kContent;
      out.logprobs = std::exchange(choice.logprobs, {});
      break;
    case ChatKind::kCallStarted:
      out.kind = Kind::kCallStarted;
      choice.call_id = random_id();
      choice.has_calls = true;
      break;
    case ChatKind::kArguments:
      out.kind = Kind::kArguments;
      break;
    case ChatKind::kCallFinished:
      out.kind = Kind::kCallFinished;
      break;
    case ChatKind::kEnd:
      return;
  }
  if (out.kind != Kind::kContent && out.kind != Kind::kReasoning) out.call_id = choice.call_id;
  listener_.event(out);
}

void AnswerRun::finish_choice(Choice& choice, engine::FinishReason reason) {
  choice.reader->finish();
  choice.ended = true;
  AnswerEvent event{.kind = Kind::kFinished, .choice = choice.index};
  event.stop_text = choice.reader->stop_string();
  if (!event.stop_text.empty()) {
    event.finish = Finish::kStopText;
  } else if (reason == engine::FinishReason::kLength) {
    event.finish = Finish::kLength;
  } else {
    event.finish = choice.has_calls ? Finish::kToolCalls : Finish::kStop;
  }
  // Of a stop string's own tokens nothing is shown.
  if (event.stop_text.empty()) event.logprobs = std::exchange(choice.logprobs, {});
  listener_.event(event);
  if (++num_ended_ == choices_.size()) end();
}

void AnswerRun::end() {
  is_over_ = true;
  const Clock::time_point now = Clock::now();
  const Clock::time_point first = first_token_.value_or(now);
  usage_.load_seconds = seconds_between(arrival_, *started_);
  usage_.prompt_seconds = seconds_between(*started_, first);
  usage_.generate_seconds = seconds_between(first, now);
  metrics_.answered(model_->name(), usage_);
  const Listener listener = std::exchange(listener_, {});
  listener.end(usage_);
}

}  // namespace gemma4::serve
