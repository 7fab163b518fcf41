#include "engine/batcher.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace gemma4::engine {

Batcher::Batcher(const model::TextConfig& text, model::KvCache& cache, const Options& options)
    : text_(&text), cache_(&cache), options_(options), prefixes_(cache, options.prefix_cache) {}

void Batcher::cancel(SequenceId id) {
  for (Sequence& sequence : waiting_)
    if (sequence.id == id) sequence.cancelled = true;
  for (Sequence& sequence : running_)
    if (sequence.id == id) sequence.cancelled = true;
}

std::vector<Sequence> Batcher::take_cancelled() {
  std::vector<Sequence> cancelled;
  const auto take = [&](auto& sequences) {
    for (size_t i = 0; i < sequences.size();) {
      if (!sequences[i].cancelled) {
        ++i;
        continue;
      }
      cancelled.push_back(std::move(sequences[i]));
      sequences.erase(sequences.begin() + static_cast<std::ptrdiff_t>(i));
    }
  };
  take(waiting_);
  take(running_);
  for (Sequence& sequence : cancelled) prefixes_.insert(prefix_of(sequence), sequence.kv);
  return cancelled;
}

Prefix Batcher::prefix_of(const Sequence& sequence) {
  return {sequence.tokens, sequence.request.media, sequence.blocks};
}

// Blocks in tables of running sequences; shared ones count once.
model::KvCache::BlockCounts Batcher::blocks_held() const {
  model::KvCache::BlockCounts held{};
  for (size_t kind = 0; kind < held.size(); ++kind) {
    std::vector<bool> seen(static_cast<size_t>(options_.capacity[kind]));
    for (const Sequence& sequence : running_)
      for (const int32_t block : sequence.kv.tables[kind].blocks) {
        if (!seen[static_cast<size_t>(block)]) ++held[kind];
        seen[static_cast<size_t>(block)] = true;
      }
  }
  return held;
}

// Whether `next` can store the tokens that it has without anyone giving way, when those that run
// have stored theirs. What it may find in the prefix cache is not counted in its favour.
bool Batcher::fits(const Sequence& next) const {
  model::KvCache::BlockCounts needed = blocks_held();
  const auto add = [&](const Sequence& sequence) {
    const auto whole = model::KvCache::blocks_needed(
        *text_, static_cast<int64_t>(sequence.tokens.size()), options_.chunk_tokens);
    for (size_t kind = 0; kind < whole.size(); ++kind)
      needed[kind] += std::max<int64_t>(
          0, whole[kind] - static_cast<int64_t>(sequence.kv.tables[kind].blocks.size()));
  };
  for (const Sequence& sequence : running_) add(sequence);
  add(next);
  for (size_t kind = 0; kind < needed.size(); ++kind)
    if (needed[kind] > options_.capacity[kind]) return false;
  return true;
}

// Whether a sequence that runs is about to compute half of `next` or more; if so, it leaves a
// snapshot there. Computing it twice would not be sooner.
bool Batcher::waits_for_its_beginning(const Sequence& next) {
  if (!options_.prefix_cache || next.request.wants_embedding) return false;
  Prefix wanted = prefix_of(next);
  wanted.tokens = wanted.tokens.first(wanted.tokens.size() - 1);  // one is left to run
  for (Sequence& sequence : running_) {
    const int64_t length = boundary_before(next.blocks, common_length(prefix_of(sequence), wanted));
    if (length <= sequence.kv.length || 2 * length < static_cast<int64_t>(next.tokens.size()))
      continue;
    if (std::ranges::find(sequence.snapshots, length) == sequence.snapshots.end())
      sequence.snapshots.push_back(length);
    return true;
  }
  return false;
}

// Who comes next: the oldest, but never two embeddings before one that generates. They come by the
// hundred from one client, and nobody reads along.
std::deque<Sequence>::iterator Batcher::next_waiting() {
  const auto wants_embedding = [](const Sequence& s) { return s.request.wants_embedding; };
  if (!embedding_was_last_ || !wants_embedding(waiting_.front())) return waiting_.begin();
  const auto other = std::find_if_not(waiting_.begin(), waiting_.end(), wants_embedding);
  return other == waiting_.end() ? waiting_.begin() : other;
}

void Batcher::admit() {
  while (!waiting_.empty() && static_cast<int64_t>(running_.size()) < options_.max_sequences) {
    const auto next = next_waiting();
    if (!running_.empty() && !fits(*next)) return;
    if (waits_for_its_beginning(*next)) return;
    embedding_was_last_ = next->request.wants_embedding;
    running_.push_back(std::move(*next));
    waiting_.erase(next);
    start(running_.back());
  }
}

// Finds what is known of a sequence. Others may want to continue from where its prompt ends, and
// from where it parts with another one: those that begin alike often part at the same place.
void Batcher::start(Sequence& sequence) {
  // Of what the cache knows, nobody has kept the hidden states.
  const PrefixCache::Hit hit = sequence.request.wants_embedding
                                   ? PrefixCache::Hit()
                                   : prefixes_.resume(prefix_of(sequence), sequence.kv);
  const auto prompt_tokens = static_cast<int64_t>(sequence.request.prompt.size());
  sequence.snapshots.clear();
  for (const int64_t length : {hit.branch, boundary_before(sequence.blocks, prompt_tokens - 1)})
    if (length > hit.length) sequence.snapshots.push_back(length);
  if (sequence.cached_prompt_tokens) return;  // it had to give way and is counted
  sequence.cached_prompt_tokens = hit.length;
  totals_.prompt_tokens += prompt_tokens;
  totals_.cached_prompt_tokens += hit.length;
}

void Batcher::preempt_youngest() {
  Sequence& youngest = running_.back();
  prefixes_.insert(prefix_of(youngest), youngest.kv);
  waiting_.push_front(std::move(youngest));
  running_.pop_back();
  ++totals_.preemptions;
}

std::vector<ScheduledSequence> Batcher::plan(const StepLimits& limits) {
  admit();
  std::vector<SequenceState> states;
  for (const Sequence& sequence : running_)
    states.push_back({sequence.pending_tokens(), sequence.kv.length, sequence.blocks});
  std::vector<ScheduledSequence> scheduled = schedule_step(states, limits);
  for (size_t i = 0; i < scheduled.size(); ++i) {
    while (i < scheduled.size() &&
           !prefixes_.reserve(running_[scheduled[i].index].kv, scheduled[i].num_tokens)) {
      G4_CHECK(running_.size() > 1);  // the cache holds any one sequence
      preempt_youngest();
      if (scheduled.back().index == running_.size()) scheduled.pop_back();
    }
  }
  return scheduled;
}

void Batcher::store(const ScheduledSequence& entry) {
  Sequence& sequence = running_[entry.index];
  const int64_t end = sequence.kv.length + entry.num_tokens;
  for (const int64_t length : sequence.snapshots) {
    if (length <= sequence.kv.length || length > end) continue;
    model::KvSequence snapshot = cache_->share(sequence.kv, length).value();  // at a boundary
    prefixes_.insert(prefix_of(sequence), snapshot);
  }
  cache_->commit(sequence.kv, entry.num_tokens);
}

void Batcher::finish(const std::vector<size_t>& indexes) {
  for (auto it = indexes.rbegin(); it != indexes.rend(); ++it) {
    Sequence& sequence = running_[*it];
    prefixes_.insert(prefix_of(sequence), sequence.kv);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(*it));
  }
}

Batcher::Counts Batcher::counts() const {
  Counts counts = totals_;
  counts.running = static_cast<int64_t>(running_.size());
  counts.waiting = static_cast<int64_t>(waiting_.size());
  counts.waiting_embeddings =
      std::count_if(waiting_.begin(), waiting_.end(),
                    [](const Sequence& s) { return s.request.wants_embedding; });
  counts.prefix_entries = prefixes_.num_entries();
  counts.prefix_evictions = prefixes_.num_evictions();
  const auto held = blocks_held();
  for (const auto kind : {model::AttentionKind::kSliding, model::AttentionKind::kFull}) {
    const auto i = static_cast<size_t>(index_of(kind));
    counts.kv_blocks_used += held[i];
    counts.kv_blocks_cached += options_.capacity[i] - held[i] - cache_->free_blocks(kind);
    counts.kv_blocks_total += options_.capacity[i];
  }
  return counts;
}

}  // namespace gemma4::engine
