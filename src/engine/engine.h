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
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/batcher.h"
#include "engine/memory_plan.h"
#include "engine/prefix_archive.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "engine/step_cost.h"
#include "engine/step_logits.h"
#include "kernels/device.h"
#include "kernels/registry.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "model/step_inputs.h"
#include "model/text_forward.h"
#include "ops/profile.h"

namespace gemma4::engine {

struct EngineOptions {
  int64_t context_tokens = 8192;  // longest sequence, prompt and answer together
  int64_t max_sequences = 1;      // run at once
  // Most tokens of one step. Models that see pictures in both directions need steps that hold the
  // largest one and a token of every other sequence.
  int64_t chunk_tokens = 512;
  DType kv_type = DType::kF32;  // of the cache; one of kernels::kKvTypes
  // Positions of all sequences together for which full layers have room; at least context_tokens.
  // 0: max_sequences * context_tokens. With less, the youngest sequences may have to give way and
  // go on later; their answers do not change.
  int64_t cache_tokens = 0;
  // What was computed is kept for requests that begin alike, as long as its memory is not needed.
  bool prefix_cache = true;
  // Sliding windows that the cache has room for beyond those of running sequences: as many prefixes
  // can be kept while all run. Servers want two for each sequence.
  int64_t prefix_windows = 0;
  // Keeps prefixes beyond this engine; null: they end with it.
  std::shared_ptr<PrefixArchive> prefix_archive;
  // While sequences generate, prompts are cut so that a step takes about as long; 0: steps are as
  // long as chunk_tokens allow.
  double step_target_seconds = 0;
  // For a model in the program's own memory; a model on another device runs there.
  kernels::CpuOptions cpu;
  // Bytes of that memory that other engines of this program may still come to use: a card says what
  // is free, a CPU's pages are promised long before they are touched.
  uint64_t claimed_bytes = 0;
  // Exact; off only for tests
  bool prompt_shortcut = true;
  bool head_over_candidates = true;  // no logits of ids that the constraints rule out
  // Pictures are seen causally even by models made to see them as a whole. Of the 12B, the
  // reference generates so with one of its caches.
  bool causal_pictures = false;
  // Requests may want embeddings, which takes more working memory: all layers run over all rows of
  // a prompt then.
  bool embeddings = false;
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

  bool has_work() const { return batcher_.has_work(); }
  // Runs one batch. Each submitted request gets exactly one event with a finish reason. Errors:
  // kUnavailable when the device has failed; nothing runs after that.
  Result<std::vector<Event>> step();

  // Saves a prefix that is not in the archive yet; false when there is none.
  bool archive_one();

  // Times every kernel of the steps that follow, one by one, which makes them slower; null: no
  // more.
  void watch(ops::Profile* profile) { profile_ = profile; }

  struct Stats : Batcher::Counts {
    int64_t steps = 0;
    int64_t computed_tokens = 0;  // fed to the model, of prompts and answers
    int64_t generated_tokens = 0;
    double step_seconds_total = 0;
  };
  Stats stats() const;

  const MemoryPlan& memory_plan() const { return memory_; }
  const model::Model& model() const { return *model_; }
  const EngineOptions& options() const { return options_; }
  const kernels::Device& device() const { return *device_; }
  const std::shared_ptr<kernels::Device>& shared_device() const { return device_; }

 private:
  Engine(std::shared_ptr<const model::Model> model, const EngineOptions& options,
         const MemoryPlan& memory, std::shared_ptr<kernels::Device> device, model::KvCache cache,
         model::InputBuffer inputs, kernels::Device::Memory workspace);
  Status check(const Request& request) const;
  Status restore_prefixes();
  StepLimits limits() const;
  model::Batch batch_of(std::span<const ScheduledSequence> scheduled) const;
  void count_computed(int64_t tokens);
  Result<StepLogits> run(std::span<const ScheduledSequence> scheduled);
  Status run_embeddings(std::span<const ScheduledSequence> scheduled);
  static Event embedding_event(const Sequence& sequence);
  void observe(std::span<const ScheduledSequence> scheduled, double seconds);
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
  static std::optional<FinishReason> finish_reason(const Sequence& sequence);
  std::vector<model::VisionBlock> blocks_of(const Request& request) const;

  std::shared_ptr<const model::Model> model_;
  EngineOptions options_;
  MemoryPlan memory_;
  std::shared_ptr<kernels::Device> device_;  // before all that holds its memory
  model::KvCache cache_;
  Batcher batcher_;
  StepCost cost_;
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
  // Of each row of logits, one bit per id; empty where there is no constraint
  std::vector<std::vector<uint32_t>> allowed_;
  SequenceId next_id_ = 1;
  ops::Profile* profile_ = nullptr;
  Stats totals_;                  // those that only grow
  int64_t looked_up_tokens_ = 0;  // since the model's tables were forgotten
};

}  // namespace gemma4::engine
