// The step loop: sequences in, tokens out. Owns the cache, the arena and the threads; the only
// writer of device state. Not thread-safe: one thread submits and steps.
//
//   G4_ASSIGN_OR_RETURN(auto engine, Engine::create(model, {}));
//   G4_ASSIGN_OR_RETURN(auto id, engine->submit({.prompt = ids, .max_tokens = 100}));
//   while (engine->has_work())
//     for (const Event& event : engine->step()) use(event);
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "base/token_constraint.h"
#include "engine/memory_plan.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/step_logits.h"
#include "kernels/device.h"
#include "kernels/registry.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "model/soft_tokens.h"
#include "model/text_forward.h"
#include "ops/profile.h"

namespace gemma4::engine {

using SequenceId = uint64_t;

struct EngineOptions {
  int64_t context_tokens = 8192;  // longest sequence, prompt and answer together
  int64_t max_sequences = 1;      // run at once
  // Most tokens of one step. Models that see pictures in both directions need steps that hold the
  // largest one and a token of every other sequence.
  int64_t chunk_tokens = 512;
  DType kv_type = DType::kF32;  // of the cache; one of kernels::kKvTypes
  // For a model in the program's own memory; a model on another device runs there.
  kernels::CpuOptions cpu;
  // Exact; off only for tests
  bool prompt_shortcut = true;
  bool head_over_candidates = true;  // no logits of ids that the constraints rule out
  // Pictures are seen causally even by models made to see them as a whole. Of the 12B, the
  // reference generates so with one of its caches.
  bool causal_pictures = false;
};

struct Request {
  std::vector<int32_t> prompt;  // at least one token
  // Rows of pictures, films and sounds, in order of position; there the prompt has placeholders.
  std::vector<model::SoftSpan> media = {};
  int64_t max_tokens = 256;  // > 0; cut to what the context leaves
  SamplingParams sampling;
  std::vector<int32_t> stop_token_ids;  // generation ends with the first of them
  bool keep = false;                    // keep the cache after the end, until release()
  // What the answer may consist of; null: anything. This request's own.
  std::shared_ptr<TokenConstraint> constraint = {};
  // A kept sequence whose cached prefix may be reused; it is consumed.
  std::optional<SequenceId> continue_from;
};

// kError: the constraint failed; what was generated does not have its form.
enum class FinishReason { kStop, kLength, kCancelled, kError };
std::string_view name_of(FinishReason reason);  // "stop", "length", "cancelled", "error"

struct Event {
  SequenceId sequence = 0;
  std::optional<SampledToken> token;   // absent if cancelled, or failed before it
  std::optional<FinishReason> finish;  // on the last event; a stop token comes with it
  std::optional<Error> error = {};     // with kError: the constraint's
};

class Engine {
 public:
  // Plans memory and reserves it. kInvalidArgument: a context beyond what the model was made for.
  // kUnsupported: this model or device cannot have a cache of this type. kResourceExhausted: the
  // plan does not fit; says what needs how much and what to change.
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const model::Model> model,
                                                const EngineOptions& options);

  // Queues a request. kInvalidArgument: empty prompt, token ids outside the vocabulary, impossible
  // sampling values, media that do not fit the prompt or are too long for a step, or a prompt that
  // leaves no room in the context (says limit and request).
  Result<SequenceId> submit(Request request);
  // Its last event comes from the next step.
  void cancel(SequenceId id);
  // Frees the cache of a kept sequence.
  void release(SequenceId id);

  bool has_work() const { return !running_.empty() || !waiting_.empty(); }
  // Runs one batch. Each submitted request gets exactly one event with a finish reason. Errors:
  // kUnavailable when the device has failed; nothing runs after that.
  Result<std::vector<Event>> step();

  // Times every kernel of the steps that follow, one by one, which makes them slower; null: no
  // more.
  void watch(ops::Profile* profile) { profile_ = profile; }

  // Tokens of the last admitted prompt that came from the cache; for display.
  int64_t reused_tokens() const { return reused_tokens_; }

  const MemoryPlan& memory_plan() const { return memory_; }
  const model::Model& model() const { return *model_; }
  const EngineOptions& options() const { return options_; }
  const kernels::Device& device() const { return *device_; }
  const std::shared_ptr<kernels::Device>& shared_device() const { return device_; }

 private:
  struct Sequence {
    SequenceId id = 0;
    Request request;
    std::vector<int32_t> tokens;  // prompt, then what was generated
    std::vector<model::VisionBlock> blocks;
    model::KvSequence kv;
    model::KvCache::BlockCounts promised{};
    bool cancelled = false;
  };
  Engine(std::shared_ptr<const model::Model> model, const EngineOptions& options,
         const MemoryPlan& memory, std::shared_ptr<kernels::Device> device, model::KvCache cache,
         model::InputBuffer inputs, kernels::Device::Memory workspace);
  Status check(const Request& request) const;
  void reuse_prefix(Sequence& sequence);
  void admit();
  // What a step leaves in the arena
  struct Outputs {
    View logits;
    std::span<const kernels::RankedLogit> best;
  };
  Outputs run_forward(const model::StepInputs& inputs, std::span<const ops::RowRange> head_rows);
  Outputs replay_forward(const model::StepInputs& inputs);
  Result<StepLogits> forward(const model::Batch& batch, std::span<const ops::RowRange> head_rows);
  void ask_constraints(std::span<const ScheduledSequence> scheduled);
  std::vector<ops::RowRange> head_rows(std::span<const ScheduledSequence> scheduled) const;
  std::optional<SampledToken> next_token(const Sequence& sequence, StepLogits& logits, size_t row);
  Event advance(Sequence& sequence, StepLogits& logits, size_t row);
  void finish_cancelled(std::vector<Event>& events);
  void finish(size_t running_idx);
  static std::optional<FinishReason> finish_reason(const Sequence& sequence);
  std::vector<model::VisionBlock> blocks_of(const Request& request) const;

  std::shared_ptr<const model::Model> model_;
  EngineOptions options_;
  MemoryPlan memory_;
  std::shared_ptr<kernels::Device> device_;  // before all that holds its memory
  model::KvCache cache_;
  Admission admission_;
  kernels::Device::Memory workspace_;
  Arena arena_;
  model::InputBuffer inputs_;
  struct RecordedStep {
    std::unique_ptr<kernels::Device::Recording> recording;
    Outputs outputs;
  };
  // By the number of sequences and the bounds on their keys
  std::map<std::pair<int64_t, std::array<int64_t, model::kNumAttentionKinds>>, RecordedStep>
      recorded_;
  std::deque<Sequence> waiting_;
  // Of each row of logits, one bit per id; empty where there is no constraint
  std::vector<std::vector<uint32_t>> allowed_;
  std::vector<Sequence> running_;        // in order of arrival
  std::map<SequenceId, Sequence> kept_;  // finished, cache still there
  SequenceId next_id_ = 1;
  int64_t reused_tokens_ = 0;
  ops::Profile* profile_ = nullptr;
  int64_t looked_up_tokens_ = 0;  // since the model's tables were forgotten
};

}  // namespace gemma4::engine
