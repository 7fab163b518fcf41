// Random loads without a model. What stands in the cache instead of a position's key is the hash of
// all that the position depends on. So it shows when a sequence reads what it must
// not: blocks of another prefix, of another picture, or given back too early.

#include "engine/batcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "base/splitmix.h"
#include "kernels/registry.h"

namespace gemma4::engine {
namespace {

using model::AttentionKind;
using model::KvCache;

model::TextConfig small_config(int64_t window) {
  model::TextConfig text;
  text.num_hidden_layers = 2;
  text.num_attention_heads = 1;
  text.layer_types = {AttentionKind::kSliding, AttentionKind::kFull};
  text.layer_head_dims = {2, 2};  // a key has room for a hash
  text.layer_kv_heads = {1, 1};
  text.sliding_window = window;
  text.intermediate_size = 1;
  return text;
}

KvCache cache_of(const model::TextConfig& text, KvCache::BlockCounts blocks) {
  static const auto device =
      kernels::make_cpu_device(kernels::reference_table(), {.num_threads = 1});
  return KvCache::create(text, blocks, DType::kF32, *device).value();
}

// At each position, a hash of the ids and rows up to it; in a vision block, of all of the block.
std::vector<uint64_t> truth(const Sequence& sequence) {
  std::vector<uint64_t> hashes;
  uint64_t hash = 0;
  for (size_t i = 0; i < sequence.tokens.size(); ++i) {
    hash = splitmix(hash + kSplitMixStep + static_cast<uint64_t>(sequence.tokens[i]));
    for (const model::SoftSpan& span : sequence.request.media) {
      const int64_t row = static_cast<int64_t>(i) - span.position;
      if (row < 0 || row >= span.tokens->count()) continue;
      hash = splitmix(hash +
                      static_cast<uint64_t>(span.tokens->values[static_cast<size_t>(row)] * 1000));
    }
    hashes.push_back(hash);
  }
  for (const model::VisionBlock& block : sequence.blocks)
    for (int64_t i = block.begin; i < block.end; ++i)
      hashes[static_cast<size_t>(i)] =
          splitmix(hashes[static_cast<size_t>(block.end - 1)] + static_cast<uint64_t>(i));
  return hashes;
}

struct Load {
  int64_t window, context, chunk, sequences, spare_blocks;
  bool prefix_cache, blocks;
};

// The engine's loop; the token after a position is what its hash says.
class World {
 public:
  World(const Load& load, uint32_t seed)
      : load_(load),
        random_(seed),
        text_(small_config(load.window)),
        capacity_(capacity_of(load, text_)),
        cache_(cache_of(text_, capacity_)),
        batcher_(text_, cache_,
                 {.max_sequences = load.sequences,
                  .chunk_tokens = load.chunk,
                  .prefix_cache = load.prefix_cache,
                  .capacity = capacity_}) {}

  void run(int num_requests) {
    int added = 0;
    for (int64_t steps = 0; added < num_requests || batcher_.has_work(); ++steps) {
      ASSERT_LT(steps, 20000) << "somebody starves";
      if (added < num_requests && (!batcher_.has_work() || random_() % 4 == 0)) add(++added);
      if (random_() % 40 == 0) cancel(1 + random_() % static_cast<uint64_t>(added));
      step();
      if (::testing::Test::HasFatalFailure()) return;
    }
    const auto counts = batcher_.counts();
    EXPECT_EQ(counts.running + counts.waiting + counts.kv_blocks_used, 0);
    EXPECT_LE(counts.cached_prompt_tokens, counts.prompt_tokens);
    EXPECT_EQ(static_cast<int>(endings_.size()), num_requests);
    preemptions = counts.preemptions;
    cached = counts.cached_prompt_tokens;
    if (!load_.prefix_cache) {
      EXPECT_EQ(counts.kv_blocks_cached, 0) << "blocks were lost";
    }
  }

  int64_t preemptions = 0, cached = 0;

 private:
  static KvCache::BlockCounts capacity_of(const Load& load, const model::TextConfig& text) {
    auto counts = KvCache::blocks_needed(text, load.context, load.chunk);
    for (int64_t& count : counts) count += load.spare_blocks;
    return counts;
  }

  // A prompt of its own, or one that begins as an earlier sequence did and goes on elsewhere.
  void add(int id) {
    Sequence sequence{.id = static_cast<SequenceId>(id)};
    Request& request = sequence.request;
    if (!known_.empty() && random_() % 3 != 0) {
      const Sequence& old = known_[random_() % known_.size()];
      const auto keep = static_cast<int64_t>(random_() % 4 == 0 ? random_() % old.tokens.size()
                                                                : old.tokens.size());
      request.prompt.assign(old.tokens.begin(), old.tokens.begin() + keep);
      for (const model::SoftSpan& span : old.request.media)
        if (span.end() <= keep) request.media.push_back(span);
    }
    for (uint64_t parts = 1 + random_() % 3; parts > 0; --parts) {
      if (random_() % 2 == 0) add_picture(request);
      for (uint64_t n = 1 + random_() % 70; n > 0; --n)
        request.prompt.push_back(static_cast<int32_t>(random_() % 2));
    }
    const int64_t most = load_.context - 1;
    if (static_cast<int64_t>(request.prompt.size()) > most) {
      request.prompt.resize(static_cast<size_t>(most));
      std::erase_if(request.media, [&](const auto& span) { return span.end() > most; });
    }
    request.max_tokens =
        std::min<int64_t>(static_cast<int64_t>(1 + random_() % 90),
                          load_.context - static_cast<int64_t>(request.prompt.size()));
    text_.bidirectional_vision = load_.blocks;
    sequence.blocks = model::vision_blocks(text_, request.media);
    for (const model::VisionBlock& block : sequence.blocks)
      if (block.end - block.begin > load_.chunk - load_.sequences + 1) {
        request.media.clear();
        sequence.blocks.clear();
      }
    sequence.tokens = request.prompt;
    batcher_.add(std::move(sequence));
  }

  void add_picture(Request& request) {
    auto tokens = std::make_shared<model::SoftTokens>();
    tokens->width = 1;
    tokens->values.assign(1 + random_() % 12, static_cast<float>(random_() % 2));
    request.media.push_back({static_cast<int64_t>(request.prompt.size()), tokens});
    request.prompt.insert(request.prompt.end(), tokens->values.size(), 7);
  }

  void cancel(SequenceId id) {
    cancelled_.insert(id);
    batcher_.cancel(id);
  }

  void step() {
    for (const Sequence& sequence : batcher_.take_cancelled()) {
      ASSERT_TRUE(cancelled_.contains(sequence.id));
      ASSERT_TRUE(endings_.insert(sequence.id).second) << "two endings";
    }
    const int64_t prompt_tokens = static_cast<int64_t>(1 + random_() % 100);
    const auto scheduled = batcher_.plan({.tokens = load_.chunk, .prompt_tokens = prompt_tokens});
    int64_t used = 0;
    SequenceId last = 0;
    for (const ScheduledSequence& entry : scheduled) {
      used += entry.num_tokens;
      ASSERT_LT(last, batcher_.running(entry.index).id) << "not in order of arrival";
      last = batcher_.running(entry.index).id;
      check_and_fill(batcher_.running(entry.index), entry);
      if (::testing::Test::HasFatalFailure()) return;
    }
    ASSERT_LE(used, load_.chunk);
    std::vector<size_t> finished;
    for (const ScheduledSequence& entry : scheduled) {
      batcher_.store(entry);
      if (!entry.wants_logits) continue;
      Sequence& sequence = batcher_.running(entry.index);
      sequence.tokens.push_back(static_cast<int32_t>(truth(sequence).back() % 3));
      const auto generated = sequence.tokens.size() - sequence.request.prompt.size();
      if (static_cast<int64_t>(generated) < sequence.request.max_tokens) continue;
      finished.push_back(entry.index);
      ASSERT_TRUE(endings_.insert(sequence.id).second) << "two endings";
      known_.push_back(sequence);
    }
    batcher_.finish(finished);
    const auto counts = batcher_.counts();
    ASSERT_GE(counts.kv_blocks_cached, 0);
    ASSERT_LE(counts.running, load_.sequences);
  }

  // Stores the step's positions, then sees what its rows see.
  void check_and_fill(const Sequence& sequence, const ScheduledSequence& entry) {
    const std::vector<uint64_t> hashes = truth(sequence);
    const int64_t begin = sequence.kv.length, end = begin + entry.num_tokens;
    ASSERT_LE(end, static_cast<int64_t>(sequence.tokens.size()));
    ASSERT_EQ(entry.wants_logits, end == static_cast<int64_t>(sequence.tokens.size()));
    for (const int64_t edge : {begin, end}) {
      const model::VisionBlock* const cut = model::block_at(sequence.blocks, edge);
      ASSERT_TRUE(cut == nullptr || cut->begin == edge) << "a block is cut";
    }
    for (const AttentionKind kind : {AttentionKind::kSliding, AttentionKind::kFull}) {
      const auto i = static_cast<size_t>(index_of(kind));
      auto* const keys = static_cast<uint64_t*>(cache_.layer(static_cast<int>(i)).k);
      const auto key = [&](int64_t position) -> uint64_t& {
        return keys[KvCache::slot(sequence.kv.tables[i], position)];
      };
      for (int64_t p = begin; p < end; ++p) key(p) = hashes[static_cast<size_t>(p)];
      const int64_t first =
          kind == AttentionKind::kFull ? 0 : std::max<int64_t>(0, begin - load_.window + 1);
      for (int64_t p = first; p < end; ++p)
        ASSERT_EQ(key(p), hashes[static_cast<size_t>(p)])
            << "position " << p << " of " << end << " of request " << sequence.id;
    }
  }

  Load load_;
  std::mt19937 random_;
  model::TextConfig text_;
  KvCache::BlockCounts capacity_;
  KvCache cache_;
  Batcher batcher_;
  std::vector<Sequence> known_;  // that ended
  std::set<SequenceId> endings_, cancelled_;
};

TEST(Batcher, RandomLoadsReadOnlyWhatIsTheirsAndEndOnce) {
  std::mt19937 random(1);
  int64_t preemptions = 0, cached = 0;
  for (uint32_t round = 0; round < 1000; ++round) {
    const auto sequences = static_cast<int64_t>(1 + random() % 5);
    const Load load{.window = static_cast<int64_t>(1 + random() % 200),
                    .context = static_cast<int64_t>(100 + random() % 400),
                    .chunk = sequences + 12 + static_cast<int64_t>(random() % 100),
                    .sequences = sequences,
                    .spare_blocks = static_cast<int64_t>(random() % 12),
                    .prefix_cache = random() % 5 != 0,
                    .blocks = random() % 2 == 0};
    World world(load, round);
    world.run(20);
    if (HasFatalFailure()) FAIL() << "round " << round;
    if (!load.prefix_cache) {
      EXPECT_EQ(world.cached, 0);
    }
    preemptions += world.preemptions;
    cached += world.cached;
  }
  EXPECT_GT(preemptions, 500);  // the loads are such that both happen often
  EXPECT_GT(cached, 100000);
}

}  // namespace
}  // namespace gemma4::engine
