#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/strings.h"
#include "engine/candidates.h"

namespace gemma4::engine {
namespace {

// Rows looked up until their pages are given back: each may hold 64 KiB around it.
constexpr int64_t kTokensBetweenForgetting = 512;

Error invalid(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }

}  // namespace

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
  }
  return "?";
}

Status Engine::check(const Request& request) const {
  if (request.prompt.empty()) return invalid("the prompt is empty");
  const int64_t vocab_size = model_->config().text.vocab_size;
  for (const auto* ids : {&request.prompt, &request.stop_token_ids})
    for (const int32_t id : *ids)
      if (id < 0 || id >= vocab_size)
        return invalid(str_cat("token id ", id, " is outside the vocabulary of ", vocab_size,
                               "; do tokenizer and model belong together?"));
  if (request.max_tokens < 1)
    return invalid(str_cat("max_tokens must be 1 or more, got ", request.max_tokens));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens >= options_.context_tokens)
    return invalid(str_cat(
        "the prompt has ", prompt_tokens, " tokens, the context holds ", options_.context_tokens,
        " for prompt and answer together; shorten it or use a larger context (this model: up to ",
        model_->config().text.max_position_embeddings, ")"));
  if (request.wants_embedding && !options_.embeddings)
    return invalid("this engine was not made for embeddings (EngineOptions::embeddings)");
  G4_RETURN_IF_ERROR(model::check_spans(model_->config(), request.prompt, request.media));
  G4_RETURN_IF_ERROR(
      model::check_blocks(blocks_of(request), options_.chunk_tokens - options_.max_sequences + 1));
  return validate(request.sampling, vocab_size);
}

std::vector<model::VisionBlock> Engine::blocks_of(const Request& request) const {
  if (options_.causal_pictures) return {};
  return model::vision_blocks(model_->config().text, request.media);
}

Result<SequenceId> Engine::submit(Request request) {
  G4_RETURN_IF_ERROR(check(request));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  request.max_tokens = std::min(request.max_tokens, options_.context_tokens - prompt_tokens);
  Sequence sequence;
  sequence.id = next_id_++;
  sequence.tokens = request.prompt;
  sequence.blocks = blocks_of(request);
  sequence.request = std::move(request);
  batcher_.add(std::move(sequence));
  return next_id_ - 1;
}

bool Engine::archive_one() {
  if (options_.prefix_archive == nullptr) return false;
  const auto prefix = batcher_.prefixes().take_unsaved(*device_);
  if (prefix) options_.prefix_archive->save(*prefix);
  return prefix.has_value();
}

// Until the cache is full. What an archive gives is checked against the vocabulary and the shape.
Status Engine::restore_prefixes() {
  if (options_.prefix_archive == nullptr) return {};
  while (auto prefix = options_.prefix_archive->next()) {
    const auto vocab_size = static_cast<int32_t>(model_->config().text.vocab_size);
    if (std::ranges::any_of(prefix->tokens, [&](int32_t id) { return id < 0 || id >= vocab_size; }))
      continue;
    if (!batcher_.prefixes().restore(*std::move(prefix), *device_)) break;
  }
  return device_->finish();
}

void Engine::cancel(SequenceId id) { batcher_.cancel(id); }

Engine::Stats Engine::stats() const {
  Stats stats = totals_;
  static_cast<Batcher::Counts&>(stats) = batcher_.counts();
  return stats;
}

std::optional<FinishReason> Engine::finish_reason(const Sequence& sequence) {
  const Request& request = sequence.request;
  const auto& stops = request.stop_token_ids;
  if (std::find(stops.begin(), stops.end(), sequence.tokens.back()) != stops.end())
    return FinishReason::kStop;
  if (request.constraint != nullptr && request.constraint->finished()) return FinishReason::kStop;
  const auto generated = static_cast<int64_t>(sequence.tokens.size() - request.prompt.size());
  if (generated >= request.max_tokens) return FinishReason::kLength;
  return std::nullopt;
}

// Nothing when the constraint has failed.
std::optional<SampledToken> Engine::next_token(const Sequence& sequence, StepLogits& logits,
                                               size_t row) {
  const Request& request = sequence.request;
  if (request.constraint != nullptr && request.constraint->failure()) return std::nullopt;
  const std::span<const uint32_t> allowed = allowed_[row];
  const std::span<const int32_t> tokens(sequence.tokens);
  const auto position = static_cast<int64_t>(tokens.size());
  std::optional<SampledToken> token =
      sample_among(logits.best(row), request.sampling, position, allowed);
  if (!token)
    token = sample(logits.whole(row), request.sampling, tokens.first(request.prompt.size()),
                   tokens.subspan(request.prompt.size()), position, allowed);
  if (request.constraint != nullptr) request.constraint->accept(token->id);
  return token;
}

// Takes one more token; the event that says so.
Event Engine::advance(Sequence& sequence, StepLogits& logits, size_t row) {
  Event event{.sequence = sequence.id,
              .token = next_token(sequence, logits, row),
              .cached_prompt_tokens = sequence.cached_prompt_tokens.value_or(0)};
  if (event.token) sequence.tokens.push_back(event.token->id);
  if (sequence.request.constraint != nullptr) event.error = sequence.request.constraint->failure();
  event.finish = event.error ? FinishReason::kError : finish_reason(sequence);
  return event;
}

Engine::Outputs Engine::run_forward(const model::StepInputs& inputs,
                                    std::span<const ops::RowRange> head_rows) {
  arena_.reset();
  const ops::Context ctx{.kernels = &device_->table(),
                         .queue = device_->queue(),
                         .arena = &arena_,
                         .device = device_.get(),
                         .profile = profile_};
  const View logits =
      model::text_forward(ctx, *model_, inputs, cache_,
                          {.prompt_shortcut = options_.prompt_shortcut, .head_rows = head_rows});
  if (!logits) return {};
  if (!head_rows.empty()) return {logits, {}};  // few are left, and constraints ask for all of them
  return {logits, ops::best_logits(ctx, logits)};
}

// A step in which every sequence generates runs the same kernels on the same addresses each time:
// it is recorded once per number of sequences and bound on their keys, since giving hundreds of
// small kernels one by one costs more than running them.
Engine::Outputs Engine::replay_forward(const model::StepInputs& inputs) {
  RecordedStep& step = recorded_[{inputs.num_tokens(), inputs.most_keys}];
  if (step.recording == nullptr) {
    device_->start_recording();
    step.outputs = run_forward(inputs, {});
    step.recording = device_->stop_recording();
    if (step.recording == nullptr) return run_forward(inputs, {});
  }
  device_->replay(*step.recording);
  return step.outputs;
}

// What each row of logits may become. Constraints look at what came before, so this needs none.
void Engine::ask_constraints(std::span<const ScheduledSequence> scheduled) {
  const auto words = static_cast<size_t>((model_->config().text.vocab_size + 31) / 32);
  size_t row = 0;
  for (const ScheduledSequence& entry : scheduled) {
    if (!entry.wants_logits) continue;
    if (row == allowed_.size()) allowed_.emplace_back();
    std::vector<uint32_t>& allowed = allowed_[row++];
    allowed.clear();
    TokenConstraint* const constraint = batcher_.running(entry.index).request.constraint.get();
    if (constraint == nullptr) continue;
    allowed.assign(words, ~0u);
    constraint->mask(allowed);
  }
  allowed_.resize(row);
}

// The rows of the vocabulary head that this step needs; empty: all.
std::vector<ops::RowRange> Engine::head_rows(std::span<const ScheduledSequence> scheduled) const {
  if (!options_.head_over_candidates || !device_->is_host()) return {};
  for (const ScheduledSequence& entry : scheduled) {
    const Request& request = batcher_.running(entry.index).request;
    if (entry.wants_logits && (request.constraint == nullptr || request.sampling.num_logprobs >= 0))
      return {};
  }
  return candidate_rows(allowed_, model_->weights().lm_head.weight);
}

Result<StepLogits> Engine::forward(const model::Batch& batch,
                                   std::span<const ops::RowRange> head_rows) {
  const model::StepInputs inputs = inputs_.place(batch);
  const bool only_generates = batch.num_tokens() == batch.num_sequences() &&
                              batch.logit_rows.size() == batch.ids.size() &&
                              batch.soft_runs.empty();
  const bool replays = only_generates && device_->can_record() && profile_ == nullptr;
  const Outputs outputs = replays ? replay_forward(inputs) : run_forward(inputs, head_rows);
  if (!outputs.logits) return StepLogits();
  return StepLogits::read(*device_, outputs.logits, outputs.best);
}

StepLimits Engine::limits() const {
  const double target = options_.step_target_seconds;
  return {.tokens = options_.chunk_tokens,
          .prompt_tokens = target > 0 ? cost_.prompt_tokens(target) : options_.chunk_tokens};
}

// Wanted are the last rows of those that generate, and all rows of those that want embeddings.
model::Batch Engine::batch_of(std::span<const ScheduledSequence> scheduled) const {
  model::Batch batch;
  std::vector<int32_t> wanted;
  for (const ScheduledSequence& entry : scheduled) {
    const Sequence& sequence = batcher_.running(entry.index);
    const std::span<const int32_t> tokens(sequence.tokens);
    const auto count = static_cast<int32_t>(entry.num_tokens);
    wanted.clear();
    const int32_t first =
        sequence.request.wants_embedding ? 0 : count - (entry.wants_logits ? 1 : 0);
    for (int32_t i = first; i < count; ++i) wanted.push_back(i);
    batch.add(*model_, sequence.kv,
              tokens.subspan(static_cast<size_t>(sequence.kv.length),
                             static_cast<size_t>(entry.num_tokens)),
              wanted, {sequence.request.media, sequence.blocks});
  }
  return batch;
}

void Engine::count_computed(int64_t tokens) {
  totals_.computed_tokens += tokens;
  looked_up_tokens_ += tokens;
  if (looked_up_tokens_ < kTokensBetweenForgetting) return;
  model_->forget_tables();
  looked_up_tokens_ = 0;
}

// The forward pass over what was planned of those that generate.
Result<StepLogits> Engine::run(std::span<const ScheduledSequence> scheduled) {
  if (scheduled.empty()) return StepLogits();
  const model::Batch batch = batch_of(scheduled);
  ask_constraints(scheduled);
  G4_ASSIGN_OR_RETURN(StepLogits logits, forward(batch, head_rows(scheduled)));
  count_computed(batch.num_tokens());
  return logits;
}

void Engine::observe(std::span<const ScheduledSequence> scheduled, double seconds) {
  ++totals_.steps;
  totals_.step_seconds_total += seconds;
  int64_t prompt_tokens = 0;
  for (const ScheduledSequence& entry : scheduled)
    if (entry.num_tokens > 1) prompt_tokens += entry.num_tokens;
  cost_.observe(prompt_tokens, seconds);
}

Result<std::vector<Event>> Engine::step() {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Event> events;
  for (const Sequence& sequence : batcher_.take_cancelled())
    events.push_back({.sequence = sequence.id,
                      .finish = FinishReason::kCancelled,
                      .cached_prompt_tokens = sequence.cached_prompt_tokens.value_or(0)});
  const std::vector<ScheduledSequence> scheduled = batcher_.plan(limits());
  if (scheduled.empty()) return events;
  std::vector<ScheduledSequence> generating, embedding;
  for (const ScheduledSequence& entry : scheduled)
    (batcher_.running(entry.index).request.wants_embedding ? embedding : generating)
        .push_back(entry);
  // First, since it is over with its part of the arena when it returns.
  G4_RETURN_IF_ERROR(run_embeddings(embedding));
  G4_ASSIGN_OR_RETURN(StepLogits logits, run(generating));

  size_t row = 0;
  std::vector<size_t> finished;
  for (const ScheduledSequence& entry : scheduled) {
    batcher_.store(entry);
    if (!entry.wants_logits) continue;
    if (const Sequence& sequence = batcher_.running(entry.index);
        sequence.request.wants_embedding) {
      events.push_back(embedding_event(sequence));
      finished.push_back(entry.index);
      continue;
    }
    events.push_back(advance(batcher_.running(entry.index), logits, row++));
    if (events.back().token) ++totals_.generated_tokens;
    if (events.back().finish) finished.push_back(entry.index);
  }
  batcher_.finish(finished);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  observe(scheduled, seconds.count());
  return events;
}

}  // namespace gemma4::engine
