// Random lives of random sequences: no block is lost, owned twice, or kept outside the window.

#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "io/mapped_file.h"
#include "kernels/registry.h"

namespace gemma4::model {
namespace {

constexpr AttentionKind kKinds[] = {AttentionKind::kSliding, AttentionKind::kFull};

KvCache cache_of(const TextConfig& text, KvCache::BlockCounts blocks) {
  static const auto device =
      kernels::make_cpu_device(kernels::reference_table(), {.num_threads = 1});
  return KvCache::create(text, blocks, DType::kF32, *device).value();
}

TextConfig small_config(int64_t window) {
  TextConfig text;
  text.num_hidden_layers = 4;
  text.num_attention_heads = 2;
  text.layer_types = {AttentionKind::kSliding, AttentionKind::kFull, AttentionKind::kSliding,
                      AttentionKind::kFull};
  text.layer_head_dims = {4, 8, 4, 8};
  text.layer_kv_heads = {1, 2, 1, 2};
  text.sliding_window = window;
  text.intermediate_size = 8;
  text.num_kv_shared_layers = 2;
  return text;
}

int64_t blocks_for(int64_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

const BlockTable& table_of(const KvSequence& sequence, AttentionKind kind) {
  return sequence.tables[static_cast<size_t>(index_of(kind))];
}

// Every block is either free or in exactly one table; tables cover what later queries may see.
void check_invariants(const KvCache& cache, const std::vector<KvSequence>& sequences,
                      const KvCache::BlockCounts& capacity, int64_t window) {
  for (const AttentionKind kind : kKinds) {
    const int64_t total = capacity[static_cast<size_t>(index_of(kind))];
    std::set<int32_t> owned;
    for (const KvSequence& sequence : sequences) {
      const BlockTable& table = table_of(sequence, kind);
      for (const int32_t block : table.blocks) {
        ASSERT_GE(block, 0);
        ASSERT_LT(block, total);
        ASSERT_TRUE(owned.insert(block).second) << "block " << block << " is owned twice";
      }
      const int64_t end = table.first + static_cast<int64_t>(table.blocks.size());
      ASSERT_GE(end * kBlockTokens, sequence.length);
      const int64_t first_visible =
          kind == AttentionKind::kFull ? 0 : std::max<int64_t>(0, sequence.length - window + 1);
      ASSERT_LE(table.first * kBlockTokens, first_visible) << "a visible block was given back";
    }
    ASSERT_EQ(static_cast<int64_t>(owned.size()) + cache.free_blocks(kind), total)
        << "blocks were lost";
  }
}

TEST(KvCache, RandomLivesKeepEveryInvariant) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const auto window = static_cast<int64_t>(1 + random() % 300);
    const TextConfig text = small_config(window);
    const KvCache::BlockCounts capacity = {static_cast<int64_t>(1 + random() % 30),
                                           static_cast<int64_t>(1 + random() % 30)};
    KvCache cache = cache_of(text, capacity);
    std::vector<KvSequence> sequences(1 + random() % 4);
    for (int i = 0; i < 60; ++i) {
      KvSequence& sequence = sequences[random() % sequences.size()];
      switch (random() % 6) {
        case 0:
          cache.release(sequence);
          ASSERT_EQ(sequence.length, 0);
          break;
        case 1: {
          const auto length =
              static_cast<int64_t>(random() % static_cast<uint64_t>(sequence.length + 1));
          const KvSequence before = sequence;
          const int64_t needed = std::max<int64_t>(0, length - window + 1);
          const bool possible =
              table_of(before, AttentionKind::kSliding).first * kBlockTokens <= needed;
          ASSERT_EQ(cache.truncate(sequence, length), possible);
          ASSERT_EQ(sequence.length, possible ? length : before.length);
          if (!possible) {
            for (const AttentionKind kind : kKinds)
              ASSERT_EQ(table_of(sequence, kind).blocks, table_of(before, kind).blocks);
          }
          break;
        }
        default: {
          const auto tokens = static_cast<int64_t>(1 + random() % 150);
          const KvSequence before = sequence;
          const int64_t free[] = {cache.free_blocks(kKinds[0]), cache.free_blocks(kKinds[1])};
          if (!cache.reserve(sequence, tokens)) {
            for (const AttentionKind kind : kKinds) {
              ASSERT_EQ(table_of(sequence, kind).blocks, table_of(before, kind).blocks);
              ASSERT_EQ(cache.free_blocks(kind), free[index_of(kind)]);
            }
            break;
          }
          for (const AttentionKind kind : kKinds)
            for (int64_t p = sequence.length; p < sequence.length + tokens; ++p)
              KvCache::slot(table_of(sequence, kind), p);  // has a place, else it aborts
          if (random() % 8 != 0) cache.commit(sequence, tokens);
        }
      }
      check_invariants(cache, sequences, capacity, window);
      if (HasFatalFailure()) return;
    }
    for (KvSequence& sequence : sequences) cache.release(sequence);
    for (const AttentionKind kind : kKinds)
      ASSERT_EQ(cache.free_blocks(kind), capacity[static_cast<size_t>(index_of(kind))]);
  }
}

TEST(KvCache, BlocksNeededIsEnoughForEveryWayToFeedASequence) {
  std::mt19937 random(2);
  for (int round = 0; round < 500; ++round) {
    const auto window = static_cast<int64_t>(1 + random() % 200);
    const auto chunk = static_cast<int64_t>(1 + random() % 150);
    const auto length = static_cast<int64_t>(1 + random() % 900);
    const TextConfig text = small_config(window);
    const auto need = KvCache::blocks_needed(text, length, chunk);
    KvCache cache = cache_of(text, need);
    KvSequence sequence;
    while (sequence.length < length) {
      const int64_t tokens = std::min<int64_t>(length - sequence.length,
                                               random() % 3 == 0 ? chunk : 1 + random() % chunk);
      ASSERT_TRUE(cache.reserve(sequence, tokens))
          << "window " << window << ", chunk " << chunk << ", at " << sequence.length;
      cache.commit(sequence, tokens);
    }
    // And it is no more than a block above what a ring needs.
    EXPECT_EQ(need[1], blocks_for(length));
    EXPECT_LE(need[0], blocks_for(window - 1 + chunk) + 1);
  }
}

TEST(KvCache, LongSequencesKeepARollingFewSlidingBlocks) {
  const TextConfig text = small_config(100);
  KvCache cache = cache_of(text, {4, 40});
  KvSequence sequence;
  for (int64_t i = 0; i < 2000; ++i) {
    ASSERT_TRUE(cache.reserve(sequence, 1));
    cache.commit(sequence, 1);
    const BlockTable& sliding = table_of(sequence, AttentionKind::kSliding);
    ASSERT_LE(sliding.blocks.size(), 3u);
    ASSERT_EQ(sliding.first, std::max<int64_t>(0, sequence.length - 99) / kBlockTokens);
  }
}

TEST(KvCache, SharedBlocksAreFreeWhenTheLastSequenceGivesThemBack) {
  KvCache cache = cache_of(small_config(100), {8, 8});
  KvSequence first;
  ASSERT_TRUE(cache.reserve(first, 200));
  KvSequence before = cache.share(first, 128).value();  // stored, not committed yet
  cache.commit(first, 200);                             // its sliding block 0 has left the window
  EXPECT_FALSE(cache.can_resume(first, 128));
  ASSERT_TRUE(cache.can_resume(before, 128));
  EXPECT_EQ(table_of(before, AttentionKind::kSliding).first, 0);
  EXPECT_EQ(table_of(before, AttentionKind::kFull).blocks.size(), 2u);
  EXPECT_EQ(cache.free_blocks(AttentionKind::kSliding), 4);
  EXPECT_EQ(cache.free_blocks(AttentionKind::kFull), 4);
  EXPECT_FALSE(cache.owns_alone(first, 127));
  EXPECT_TRUE(cache.owns_alone(first, 128));

  KvSequence second = cache.share(before, 128).value();
  ASSERT_TRUE(cache.reserve(second, 1));  // a block of its own, not one of theirs
  for (const AttentionKind kind : kKinds) {
    EXPECT_EQ(KvCache::slot(table_of(second, kind), 127),
              KvCache::slot(table_of(before, kind), 127));
    EXPECT_NE(KvCache::slot(table_of(second, kind), 128),
              KvCache::slot(table_of(first, kind), 128));
  }
  cache.release(first);
  cache.release(before);
  EXPECT_EQ(cache.free_blocks(AttentionKind::kFull), 5);
  cache.release(second);
  for (const AttentionKind kind : kKinds) EXPECT_EQ(cache.free_blocks(kind), 8);
}

TEST(KvCache, ABlockThatIsPartlyFilledIsCopied) {
  const auto device = kernels::make_cpu_device(kernels::reference_table(), {.num_threads = 1});
  KvCache cache = KvCache::create(small_config(100), {6, 6}, DType::kF32, *device).value();
  KvSequence first;
  ASSERT_TRUE(cache.reserve(first, 150));
  cache.commit(first, 150);
  std::vector<std::byte> bytes = cache.save(first, *device);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 251);
  cache.release(first);
  first = cache.restore(150, 0, bytes, *device).value();

  KvSequence second = cache.share(first, 140).value();
  EXPECT_EQ(second.length, 140);
  EXPECT_EQ(cache.save(second, *device), bytes);  // as many blocks, and the same in them
  EXPECT_FALSE(cache.owns_alone(second, 127));
  EXPECT_TRUE(cache.owns_alone(second, 139));
  EXPECT_TRUE(cache.owns_alone(first, 139));

  KvSequence third;
  ASSERT_TRUE(cache.reserve(third, 128));
  EXPECT_FALSE(cache.share(first, 140).has_value());  // no room for the copy
  for (const AttentionKind kind : kKinds) EXPECT_EQ(cache.free_blocks(kind), 0);
  cache.release(third);
  cache.release(first);
  cache.release(second);
  for (const AttentionKind kind : kKinds) EXPECT_EQ(cache.free_blocks(kind), 6);
}

TEST(KvCache, SlotsFollowTheBlocksAndLayersShareTheirDonorsStorage) {
  const TextConfig text = small_config(64);
  KvCache cache = cache_of(text, {3, 3});
  const BlockTable table{2, {7, 4}};
  EXPECT_EQ(KvCache::slot(table, 128), 7 * 64);
  EXPECT_EQ(KvCache::slot(table, 191), 7 * 64 + 63);
  EXPECT_EQ(KvCache::slot(table, 192), 4 * 64);
  for (const int layer : {0, 1}) {
    EXPECT_EQ(cache.layer(layer).k, cache.layer(layer + 2).k);
    EXPECT_EQ(cache.layer(layer).v, cache.layer(layer + 2).v);
    EXPECT_NE(cache.layer(layer).k, cache.layer(layer).v);
  }
  EXPECT_NE(cache.layer(0).k, cache.layer(1).k);
  EXPECT_EQ(cache.layer(3).heads, 2);
  EXPECT_EQ(cache.layer(3).head_dim, 8);
  EXPECT_EQ(cache.layer(3).dtype, DType::kF32);
}

TEST(KvCache, BytesOfABlockFollowTheType) {
  TextConfig text = small_config(64);
  text.layer_head_dims = {32, 64, 32, 64};
  const auto expect = [&](DType dtype, int64_t row_of_32) {
    EXPECT_TRUE(KvCache::check_type(text, dtype).ok());
    EXPECT_EQ(KvCache::block_bytes(text, AttentionKind::kSliding, dtype), 2 * 64 * row_of_32);
    EXPECT_EQ(KvCache::block_bytes(text, AttentionKind::kFull, dtype), 2 * 2 * 64 * 2 * row_of_32);
  };
  expect(DType::kF32, 128);
  expect(DType::kF16, 64);
  expect(DType::kBF16, 64);
  expect(DType::kQ8_0, 34);
}

// Bytes per token of the published sizes in bfloat16: layers that grow, sliding ones, and those at
// their full window in MiB.
TEST(KvCache, BytesPerTokenAreThoseOfThePublishedSizes) {
  struct Size {
    const char* name;
    int64_t full, sliding, window_mib;
  };
  for (const Size& size : {Size{"e2b", 6'144, 12'288, 6}, Size{"e4b", 16'384, 40'960, 20},
                           Size{"12b", 16'384, 327'680, 320}, Size{"26b-a4b", 20'480, 204'800, 200},
                           Size{"31b", 81'920, 819'200, 800}}) {
    const std::string path =
        std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/spec/configs/" + size.name + ".json";
    const TextConfig text = parse_config(io::read_file(path).value()).value().text;
    const auto bytes = [&](AttentionKind kind) {
      return KvCache::block_bytes(text, kind, DType::kBF16) / kBlockTokens;
    };
    EXPECT_EQ(bytes(AttentionKind::kFull), size.full) << size.name;
    EXPECT_EQ(bytes(AttentionKind::kSliding), size.sliding) << size.name;
    EXPECT_EQ(bytes(AttentionKind::kSliding) * text.sliding_window, size.window_mib << 20)
        << size.name;
    // Of a long sequence, sliding layers keep their window, a chunk and what rounding to blocks
    // adds; full layers keep all.
    constexpr int64_t kChunk = 64;
    const auto blocks = KvCache::blocks_needed(text, 131'072, kChunk);
    EXPECT_EQ(blocks[static_cast<size_t>(index_of(AttentionKind::kFull))], 131'072 / kBlockTokens);
    EXPECT_LE(blocks[static_cast<size_t>(index_of(AttentionKind::kSliding))],
              (text.sliding_window + kChunk) / kBlockTokens + 1);
  }
}

TEST(KvCache, TypesThatDoNotFitAreRefused) {
  const auto error = [](const TextConfig& text, DType dtype, bool narrow_kv,
                        bool quantised_kv = false) {
    kernels::Table table = kernels::reference_table();
    table.narrow_kv = narrow_kv;
    table.quantised_kv = quantised_kv;
    const auto device = kernels::make_cpu_device(table, {.num_threads = 1});
    const auto cache = KvCache::create(text, {1, 1}, dtype, *device);
    return cache.ok() ? "" : cache.error().message;
  };
  TextConfig text = small_config(64);  // heads of 4 and 8
  EXPECT_EQ(error(text, DType::kQ8_0, true),
            "keys and values in Q8_0: heads of 4 elements are no whole blocks of 32; use another "
            "type");
  EXPECT_EQ(error(text, DType::kF16, true), "");
  EXPECT_EQ(error(text, DType::kF16, false),
            "keys and values in F16: 1 thread, reference kernels keeps them in F32 only");
  EXPECT_EQ(error(text, DType::kF32, false), "");
  TextConfig blocks = text;
  blocks.layer_head_dims = {32, 64, 32, 64};
  EXPECT_EQ(error(blocks, DType::kQ8_0, true, true), "");
  EXPECT_EQ(error(blocks, DType::kQ8_0, true, false),
            "keys and values in Q8_0: 1 thread, reference kernels keeps them in F32, F16 or BF16 "
            "only");
  EXPECT_EQ(error(text, DType::kQ4_0, true),
            "keys and values in Q4_0: a cache cannot have this type");
}

TEST(KvCacheDeathTest, PositionsWithoutABlockAreABug) {
  const BlockTable table{2, {7}};
  EXPECT_DEATH(KvCache::slot(table, 127), "internal error");
  EXPECT_DEATH(KvCache::slot(table, 192), "internal error");
  const TextConfig text = small_config(64);
  KvCache cache = cache_of(text, {3, 3});
  KvSequence sequence;
  EXPECT_DEATH((void)cache.truncate(sequence, 1), "internal error");
}

}  // namespace
}  // namespace gemma4::model
