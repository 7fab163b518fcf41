#include "engine/engine.h"

#include <algorithm>
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

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const model::Model> model,
                                               const EngineOptions& options) {
  const int64_t limit = model->config().text.max_position_embeddings;
  if (options.context_tokens < 2 || options.context_tokens > limit)
    return invalid(
        str_cat("context of ", options.context_tokens, " tokens: this model takes 2 to ", limit));
  if (options.max_sequences < 1 || options.max_sequences > 4096)
    return invalid(
        str_cat("number of sequences at once is ", options.max_sequences, ", must be 1 to 4096"));
  if (options.chunk_tokens < options.max_sequences)
    return invalid(str_cat("a step of ", options.chunk_tokens, " tokens cannot hold ",
                           options.max_sequences, " sequences"));
  if (options.cpu.num_threads < 0 || options.cpu.num_threads > 1024)
    return invalid(
        str_cat("number of threads is ", options.cpu.num_threads, ", must be 1 to 1024"));
  G4_RETURN_IF_ERROR(model::KvCache::check_type(model->config().text, options.kv_type));
  EngineOptions clamped = options;  // no step is longer than all the sequences
  clamped.chunk_tokens =
      std::min(options.chunk_tokens, options.context_tokens * options.max_sequences);
  std::shared_ptr<kernels::Device> device = model->device();
  if (device == nullptr) {
    G4_ASSIGN_OR_RETURN(device, kernels::open_cpu_device(options.cpu));
  }
  const MemoryPlan memory = plan_memory(*model, clamped);
  G4_RETURN_IF_ERROR(check_memory(memory, *model, clamped, *device));
  // What others took meanwhile is not in the check.
  const auto explained = [&](const Error& error) {
    return error.code == ErrorCode::kResourceExhausted
               ? does_not_fit(memory, *model, clamped, *device)
               : error;
  };
  const auto blocks = cache_capacity(*model, clamped);
  auto cache = model::KvCache::create(model->config().text, blocks, clamped.kv_type, *device);
  if (!cache.ok()) return explained(cache.error());
  auto inputs = model::InputBuffer::create(*device, {.tokens = clamped.chunk_tokens,
                                                     .logits = clamped.max_sequences,
                                                     .sequences = clamped.max_sequences,
                                                     .blocks = blocks});
  if (!inputs.ok()) return explained(inputs.error());
  auto workspace = device->allocate(memory.workspace_bytes);
  if (!workspace.ok()) return explained(workspace.error());
  return std::unique_ptr<Engine>(new Engine(std::move(model), clamped, memory, std::move(device),
                                            std::move(cache).value(), std::move(inputs).value(),
                                            std::move(workspace).value()));
}

Engine::Engine(std::shared_ptr<const model::Model> model, const EngineOptions& options,
               const MemoryPlan& memory, std::shared_ptr<kernels::Device> device,
               model::KvCache cache, model::InputBuffer inputs, kernels::Device::Memory workspace)
    : model_(std::move(model)),
      options_(options),
      memory_(memory),
      device_(std::move(device)),
      cache_(std::move(cache)),
      admission_(cache_capacity(*model_, options_)),
      workspace_(std::move(workspace)),
      arena_(workspace_.get(), memory.workspace_bytes),
      inputs_(std::move(inputs)) {}

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
  if (const Status status = check(request); !status.ok()) {
    if (request.continue_from) release(*request.continue_from);
    return status.error();
  }
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  request.max_tokens = std::min(request.max_tokens, options_.context_tokens - prompt_tokens);
  Sequence sequence;
  sequence.id = next_id_++;
  sequence.tokens = request.prompt;
  sequence.blocks = blocks_of(request);
  // The last token generated is never fed back, so it needs no place in the cache.
  sequence.promised = model::KvCache::blocks_needed(
      model_->config().text, prompt_tokens + request.max_tokens - 1, options_.chunk_tokens);
  sequence.request = std::move(request);
  waiting_.push_back(std::move(sequence));
  return waiting_.back().id;
}

// Takes over a kept sequence's cache as far as its tokens agree with the new prompt. At least one
// token is left to run, since its logits are wanted.
void Engine::reuse_prefix(Sequence& sequence) {
  if (!sequence.request.continue_from) return;
  const SequenceId from = *std::exchange(sequence.request.continue_from, std::nullopt);
  const auto it = kept_.find(from);
  if (it == kept_.end()) return;
  Sequence& old = it->second;
  const auto limit =
      std::min({static_cast<size_t>(old.kv.length), old.tokens.size(), sequence.tokens.size() - 1});
  const auto [end, unused] =
      std::mismatch(old.tokens.begin(), old.tokens.begin() + static_cast<std::ptrdiff_t>(limit),
                    sequence.tokens.begin());
  const int64_t common = model::common_media(old.request.media, sequence.request.media,
                                             sequence.blocks, end - old.tokens.begin());
  if (cache_.truncate(old.kv, common)) {
    sequence.kv = std::move(old.kv);
    old.kv = {};
  }
  release(from);
}

void Engine::cancel(SequenceId id) {
  for (Sequence& sequence : waiting_)
    if (sequence.id == id) sequence.cancelled = true;
  for (Sequence& sequence : running_)
    if (sequence.id == id) sequence.cancelled = true;
}

void Engine::release(SequenceId id) {
  const auto it = kept_.find(id);
  if (it == kept_.end()) return;
  cache_.release(it->second.kv);
  admission_.release(it->second.promised);
  kept_.erase(it);
}

void Engine::admit() {
  while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < options_.max_sequences) {
    Sequence& next = waiting_.front();
    reuse_prefix(next);
    if (!admission_.try_admit(next.promised)) {
      // Kept caches are a convenience: a waiting request goes first.
      if (!kept_.empty()) {
        release(kept_.begin()->first);
        continue;
      }
      cache_.release(next.kv);  // blocks that nobody promised must not be held while waiting
      return;
    }
    reused_tokens_ = next.kv.length;
    running_.push_back(std::move(next));
    waiting_.pop_front();
  }
}

void Engine::finish(size_t running_idx) {
  Sequence& sequence = running_[running_idx];
  if (sequence.request.keep) {
    kept_.emplace(sequence.id, std::move(sequence));
  } else {
    cache_.release(sequence.kv);
    admission_.release(sequence.promised);
  }
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(running_idx));
}

void Engine::finish_cancelled(std::vector<Event>& events) {
  for (size_t i = 0; i < waiting_.size();) {
    if (!waiting_[i].cancelled) {
      ++i;
      continue;
    }
    events.push_back({waiting_[i].id, std::nullopt, FinishReason::kCancelled});
    if (waiting_[i].request.continue_from) release(*waiting_[i].request.continue_from);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (size_t i = 0; i < running_.size();) {
    if (!running_[i].cancelled) {
      ++i;
      continue;
    }
    events.push_back({running_[i].id, std::nullopt, FinishReason::kCancelled});
    finish(i);
  }
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
  Event event{.sequence = sequence.id, .token = next_token(sequence, logits, row)};
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
    TokenConstraint* const constraint = running_[entry.index].request.constraint.get();
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
    const Request& request = running_[entry.index].request;
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

Result<std::vector<Event>> Engine::step() {
  std::vector<Event> events;
  finish_cancelled(events);
  admit();
  std::vector<SequenceState> states;
  for (const Sequence& sequence : running_)
    states.push_back({static_cast<int64_t>(sequence.tokens.size()) - sequence.kv.length,
                      sequence.kv.length, sequence.blocks});
  const std::vector<ScheduledSequence> scheduled = schedule_step(states, options_.chunk_tokens);
  if (scheduled.empty()) return events;

  model::Batch batch;
  for (const ScheduledSequence& entry : scheduled) {
    Sequence& sequence = running_[entry.index];
    G4_CHECK(cache_.reserve(sequence.kv, entry.num_tokens));  // admission promised it
    const std::span<const int32_t> tokens(sequence.tokens);
    const auto last = static_cast<int32_t>(entry.num_tokens - 1);
    batch.add(*model_, sequence.kv,
              tokens.subspan(static_cast<size_t>(sequence.kv.length),
                             static_cast<size_t>(entry.num_tokens)),
              std::span(&last, entry.wants_logits ? 1 : 0),
              {sequence.request.media, sequence.blocks});
  }
  ask_constraints(scheduled);
  G4_ASSIGN_OR_RETURN(StepLogits logits, forward(batch, head_rows(scheduled)));
  looked_up_tokens_ += batch.num_tokens();
  if (looked_up_tokens_ >= kTokensBetweenForgetting) {
    model_->forget_tables();
    looked_up_tokens_ = 0;
  }

  size_t row = 0;
  std::vector<size_t> finished;
  for (const ScheduledSequence& entry : scheduled) {
    Sequence& sequence = running_[entry.index];
    cache_.commit(sequence.kv, entry.num_tokens);
    if (!entry.wants_logits) continue;
    events.push_back(advance(sequence, logits, row++));
    if (events.back().finish) finished.push_back(entry.index);
  }
  std::sort(finished.rbegin(), finished.rend());  // from the back, so that indexes stay valid
  for (const size_t index : finished) finish(index);
  return events;
}

}  // namespace gemma4::engine
