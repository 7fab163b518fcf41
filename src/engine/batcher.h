// Sequences from their arrival to their end, and the K/V blocks that they hold: who waits, who
// runs, who gives way when blocks run out. Pure logic: no model, no clock; the engine runs what
// this plans.
//
// Blocks are taken as a sequence grows, not promised for its greatest length. When none is left,
// the prefixes that nobody runs are forgotten, and then the youngest sequences give way: they wait
// again with the tokens that they have, and continue where the prefix cache still knows them.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/prefix_cache.h"
#include "engine/request.h"
#include "engine/scheduler.h"
#include "model/config.h"
#include "model/kv_cache.h"

namespace gemma4::engine {

class Batcher {
 public:
  struct Options {
    int64_t max_sequences = 1;  // run at once
    int64_t chunk_tokens = 1;   // most tokens of a step
    bool prefix_cache = true;
    model::KvCache::BlockCounts capacity{};  // of the cache; at least what one sequence needs
  };
  // `text` and `cache` must outlive it.
  Batcher(const model::TextConfig& text, model::KvCache& cache, const Options& options);

  void add(Sequence sequence) { waiting_.push_back(std::move(sequence)); }
  // Marks it; take_cancelled() removes it.
  void cancel(SequenceId id);
  std::vector<Sequence> take_cancelled();
  bool has_work() const { return !running_.empty() || !waiting_.empty(); }

  // What the next step runs, in order of arrival; the blocks for it are reserved. Indexes are those
  // of running(), until finish().
  std::vector<ScheduledSequence> plan(const StepLimits& limits);
  Sequence& running(size_t index) { return running_[index]; }
  const Sequence& running(size_t index) const { return running_[index]; }
  // The tokens of `entry` are stored: to be called before what was sampled is appended.
  void store(const ScheduledSequence& entry);
  // Takes ended sequences out; `indexes` rise.
  void finish(const std::vector<size_t>& indexes);

  struct Counts {
    int64_t running = 0;
    int64_t waiting = 0;
    int64_t waiting_embeddings = 0;    // of them
    int64_t prompt_tokens = 0;         // of sequences that have run
    int64_t cached_prompt_tokens = 0;  // of these, found in the prefix cache
    int64_t preemptions = 0;
    int64_t prefix_entries = 0;
    int64_t prefix_evictions = 0;
    int64_t kv_blocks_used = 0;    // by sequences that run
    int64_t kv_blocks_cached = 0;  // kept for later, forgotten when needed
    int64_t kv_blocks_total = 0;   // of all kinds of layers
  };
  Counts counts() const;
  PrefixCache& prefixes() { return prefixes_; }

 private:
  static Prefix prefix_of(const Sequence& sequence);
  model::KvCache::BlockCounts blocks_held() const;
  bool fits(const Sequence& next) const;
  bool waits_for_its_beginning(const Sequence& next);
  void admit();
  std::deque<Sequence>::iterator next_waiting();
  void start(Sequence& sequence);
  void preempt_youngest();

  const model::TextConfig* text_;
  model::KvCache* cache_;
  Options options_;
  PrefixCache prefixes_;
  std::deque<Sequence> waiting_;
  std::vector<Sequence> running_;    // both in order of arrival
  bool embedding_was_last_ = false;  // that was admitted
  Counts totals_;                    // those that only grow
};

}  // namespace gemma4::engine
