// The same tokens must give the same numbers however they are fed: in one batch or alone, in chunks
// or whole, with and without the prompt shortcut, on any number of threads, by any kernels. Where
// the order of additions is fixed the answers agree bit for bit; between kernels they cannot.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <tuple>

#include "apps/text_runner.h"
#include "kernels/registry.h"
#include "tests/kernel_testing.h"
#include "tests/tiny_models.h"

namespace gemma4::apps {
namespace {

using model::Model;
using testing::Random;

std::vector<int32_t> every(int64_t count, int64_t step = 1) {
  std::vector<int32_t> positions;
  for (int64_t i = step - 1; i < count; i += step) positions.push_back(static_cast<int32_t>(i));
  return positions;
}

double relative_error(std::span<const float> a, std::span<const float> b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

void expect_same(std::span<const float> out, std::span<const float> expected,
                 const std::string& what) {
  ASSERT_EQ(out.size(), expected.size()) << what;
  EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size_bytes()), 0)
      << what << ": relative difference " << relative_error(out, expected);
}

constexpr int64_t kChunks[] = {1, 2, 5, 16, 17, 64};
constexpr int64_t kTokens = 150;  // several windows, and sliding blocks that were given back

// A model, and the type of its keys and values
class Metamorphic : public ::testing::TestWithParam<std::tuple<const char*, DType>> {
 protected:
  std::shared_ptr<const Model> model() const { return testing::load_tiny(std::get<0>(GetParam())); }
  DType kv_type() const { return std::get<1>(GetParam()); }
  int64_t vocab_size() const { return model()->config().text.vocab_size; }
  TextRunner runner(int threads = 2) const {
    return runner_with(kernels::all_cpu_tables().front(), kv_type(), threads);
  }
  TextRunner runner_with(const kernels::Table& table, DType type, int threads = 2) const {
    return TextRunner(model(), kernels::make_cpu_device(table, {.num_threads = threads}), type);
  }
  std::vector<int32_t> tokens(uint64_t seed = 1, int64_t count = kTokens) const {
    return testing::random_tokens(seed, count, vocab_size());
  }
};
INSTANTIATE_TEST_SUITE_P(Tiny, Metamorphic,
                         ::testing::Combine(testing::tiny_models(),
                                            ::testing::ValuesIn(kernels::kKvTypes)),
                         [](const auto& test) {
                           return testing::tiny_case_name({std::get<0>(test.param), test.index}) +
                                  "_" + std::string(name_of(std::get<1>(test.param)));
                         });

TEST_P(Metamorphic, ChunkedEqualsWhole) {
  const auto ids = tokens();
  for (const bool shortcut : {true, false}) {
    const auto positions = every(kTokens, 7);
    const auto whole = runner().logits(ids, positions, kTokens, {shortcut}).value();
    for (const int64_t chunk : kChunks)
      expect_same(runner().logits(ids, positions, chunk, {shortcut}).value(), whole,
                  "chunks of " + std::to_string(chunk));
  }
}

TEST_P(Metamorphic, ThePromptShortcutIsExact) {
  const auto ids = tokens(2);
  const auto all =
      runner().logits(ids, every(kTokens), kTokens, {.prompt_shortcut = false}).value();
  for (const int64_t step : {int64_t{1}, int64_t{3}, kTokens}) {
    const auto positions = every(kTokens, step);
    const auto with = runner().logits(ids, positions, kTokens, {.prompt_shortcut = true}).value();
    const auto without =
        runner().logits(ids, positions, kTokens, {.prompt_shortcut = false}).value();
    expect_same(with, without, "shortcut on and off, every " + std::to_string(step));
    const auto row = static_cast<size_t>(vocab_size());
    for (size_t i = 0; i < positions.size(); ++i)
      expect_same(std::span(with).subspan(i * row, row),
                  std::span(all).subspan(static_cast<size_t>(positions[i]) * row, row),
                  "position " + std::to_string(positions[i]));
  }
}

TEST_P(Metamorphic, AnyNumberOfThreadsGivesTheSameBits) {
  const auto ids = tokens(3);
  const auto one = runner(1).logits(ids, every(kTokens, 10), 64).value();
  for (const int threads : {2, 3, 5})
    expect_same(runner(threads).logits(ids, every(kTokens, 10), 64).value(), one,
                std::to_string(threads) + " threads");
}

TEST_P(Metamorphic, EveryKernelTableAgreesWithTheReference) {
  const auto ids = tokens(4, 60);
  const auto answer = [&](const kernels::Table& table, DType type) {
    return runner_with(table, type).logits(ids, every(60), 60).value();
  };
  const auto expected = answer(kernels::reference_table(), kv_type());
  // Other orders of addition: float32 noise, which the layers amplify to a few 1e-5. With narrow
  // keys and values it also takes some of them to the next number of their type. The layers amplify
  // that as they do the rounding of all of them, which must stay much the larger.
  double bound = 1e-4;
  if (kv_type() != DType::kF32)
    bound = 0.5 * relative_error(expected, answer(kernels::reference_table(), DType::kF32));
  for (const kernels::Table& table : kernels::all_cpu_tables())
    EXPECT_LT(relative_error(answer(table, kv_type()), expected), bound) << table.name;
}

// A step loop of its own: sequences of given tokens, advanced by random chunks in shared batches.
struct Feeder {
  const Model& model;
  DType kv_type;
  std::shared_ptr<kernels::Device> device =
      kernels::make_cpu_device(kernels::all_cpu_tables().front(), {.num_threads = 2});
  std::vector<std::vector<int32_t>> sequences;
  std::vector<std::vector<float>> logits;  // every position's

  void run(Random& random, int64_t most_tokens) {
    const model::TextConfig& text = model.config().text;
    model::KvCache::BlockCounts blocks{};
    for (const auto& ids : sequences) {
      const auto need =
          model::KvCache::blocks_needed(text, static_cast<int64_t>(ids.size()), most_tokens);
      for (size_t kind = 0; kind < need.size(); ++kind) blocks[kind] += need[kind];
    }
    model::KvCache cache = model::KvCache::create(text, blocks, kv_type, *device).value();
    Arena arena(model::workspace_bytes(model, most_tokens * static_cast<int64_t>(sequences.size()),
                                       most_tokens * static_cast<int64_t>(sequences.size())));
    std::vector<model::KvSequence> kv(sequences.size());
    logits.assign(sequences.size(), {});
    for (;;) {
      model::Batch batch;
      std::vector<std::pair<size_t, int64_t>> parts;
      for (size_t s = 0; s < sequences.size(); ++s) {
        const auto left = static_cast<int64_t>(sequences[s].size()) - kv[s].length;
        const int64_t count = std::min(left, random.between(0, most_tokens));
        if (count == 0) continue;
        G4_CHECK(cache.reserve(kv[s], count));
        std::vector<int32_t> wanted(static_cast<size_t>(count));
        std::iota(wanted.begin(), wanted.end(), 0);
        batch.add(model, kv[s],
                  std::span(sequences[s])
                      .subspan(static_cast<size_t>(kv[s].length), static_cast<size_t>(count)),
                  wanted);
        parts.emplace_back(s, count);
      }
      if (!parts.empty()) {
        arena.reset();
        const ops::Context ctx{
            .kernels = &device->table(), .queue = device->queue(), .arena = &arena};
        const View out = model::text_forward(ctx, model, model::host_inputs(batch), cache);
        const float* row = out.f32();
        for (const auto& [s, count] : parts) {
          logits[s].insert(logits[s].end(), row, row + count * out.cols());
          row += count * out.cols();
          cache.commit(kv[s], count);
        }
      }
      bool done = true;
      for (size_t s = 0; s < sequences.size(); ++s)
        done = done && kv[s].length == static_cast<int64_t>(sequences[s].size());
      if (done) break;
    }
    for (model::KvSequence& sequence : kv) cache.release(sequence);
    for (const auto kind : {model::AttentionKind::kSliding, model::AttentionKind::kFull})
      EXPECT_EQ(cache.free_blocks(kind), blocks[static_cast<size_t>(index_of(kind))]);
  }
};

TEST_P(Metamorphic, BatchEqualsSingle) {
  Feeder feeder{*model(), kv_type()};
  for (const int64_t length : {1, 40, 97, 130})
    feeder.sequences.push_back(tokens(static_cast<uint64_t>(length), length));
  for (const int64_t most_tokens : {1, 4, 33}) {
    Random random(static_cast<uint64_t>(most_tokens));
    feeder.run(random, most_tokens);
    for (size_t s = 0; s < feeder.sequences.size(); ++s) {
      const auto length = static_cast<int64_t>(feeder.sequences[s].size());
      expect_same(feeder.logits[s],
                  runner().logits(feeder.sequences[s], every(length), length).value(),
                  "sequence of " + std::to_string(length));
    }
  }
}

}  // namespace
}  // namespace gemma4::apps
