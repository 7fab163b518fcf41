// The forward pass as its callers see it: memory that was planned is memory that is used, every op
// reaches the tape, every named value reaches the probe. The numbers are held by tests/golden.

#include "model/text_forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "base/strings.h"
#include "io/safetensors.h"
#include "kernels/registry.h"

namespace gemma4::model {
namespace {

const Model& tiny(const std::string& name) {
  static std::map<std::string, std::unique_ptr<Model>> models;
  auto& model = models[name];
  if (model == nullptr)
    model = std::make_unique<Model>(
        Model::load(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/" + name).value());
  return *model;
}

const std::shared_ptr<kernels::Device>& device() {
  static const auto device =
      kernels::make_cpu_device(kernels::all_cpu_tables().front(), {.num_threads = 2});
  return device;
}

KvCache cache_for(const Model& model, int64_t blocks = 4) {
  return KvCache::create(model.config().text, {blocks, blocks}, DType::kF32, *device()).value();
}

size_t measured(const Model& model, KvCache& cache, int64_t tokens, int64_t logits,
                const ForwardOptions& options) {
  Arena arena = Arena::measuring();
  const Batch batch = shape_only_batch(tokens, logits);
  text_forward({.arena = &arena}, model, host_inputs(batch), cache, options);
  return arena.high_water_bytes();
}

class TextForward : public ::testing::TestWithParam<const char*> {
 protected:
  const Model& model() const { return tiny(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Tiny, TextForward,
                         ::testing::Values("tiny-e", "tiny-12b", "tiny-31b", "tiny-26b"),
                         [](const auto& test) {
                           return std::string(test.param).replace(4, 1, "_");
                         });

TEST_P(TextForward, WorkspaceIsEnoughForEverySmallerBatch) {
  KvCache cache = cache_for(model());
  for (const bool shortcut : {true, false})
    for (const int64_t tokens : {1, 2, 3, 8, 20})
      for (int64_t logits = 1; logits <= tokens; ++logits) {
        const size_t planned = workspace_bytes(model(), tokens, logits, {shortcut});
        size_t most = 0;
        for (int64_t t = 1; t <= tokens; ++t)
          for (int64_t r = 0; r <= std::min(t, logits); ++r)
            most = std::max(most, measured(model(), cache, t, r, {shortcut}));
        ASSERT_LE(most, planned) << tokens << " tokens, " << logits << " logits";
        ASSERT_GE(most * 2, planned) << "more than twice what any batch needs";
      }
}

struct TapeEntry {
  std::string entry;
  size_t args_bytes;
};

class RecordingTape : public ops::Tape {
 public:
  void record(std::string_view entry, const void* args, size_t args_bytes) override {
    ASSERT_NE(args, nullptr);
    entries.push_back({std::string(entry), args_bytes});
  }
  std::vector<TapeEntry> entries;
};

class RecordingProbe : public ops::Probe {
 public:
  void observe(std::string_view name, int layer, const View& value) override {
    shapes[layer < 0 ? std::string(name) : str_cat(name, ".", layer)] = {
        value.shape.begin(), value.shape.begin() + value.rank};
  }
  std::map<std::string, std::vector<int64_t>> shapes;
};

struct Run {
  RecordingTape tape;
  RecordingProbe probe;
  size_t used = 0;
  size_t planned = 0;
  std::vector<float> logits;
};

std::unique_ptr<Run> run(const Model& model, int64_t tokens, std::vector<int32_t> wanted,
                         const ForwardOptions& options) {
  auto result = std::make_unique<Run>();
  KvCache cache = cache_for(model);
  result->planned = workspace_bytes(model, tokens, static_cast<int64_t>(wanted.size()), options);
  Arena arena(result->planned);
  KvSequence sequence;
  EXPECT_TRUE(cache.reserve(sequence, tokens));
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  std::iota(ids.begin(), ids.end(), 2);
  Batch batch;
  batch.add(model, sequence, ids, wanted);
  const ops::Context ctx{.kernels = &device()->table(),
                         .queue = device()->queue(),
                         .arena = &arena,
                         .probe = &result->probe,
                         .tape = &result->tape};
  const View logits = text_forward(ctx, model, host_inputs(batch), cache, options);
  if (logits) result->logits.assign(logits.f32(), logits.f32() + logits.size());
  result->used = arena.high_water_bytes();
  return result;
}

TEST_P(TextForward, ARealRunUsesWhatTheDryRunSaid) {
  KvCache cache = cache_for(model());
  for (const bool shortcut : {true, false}) {
    const auto some = run(model(), 30, {4, 29}, {shortcut});
    EXPECT_EQ(some->used, measured(model(), cache, 30, 2, {shortcut}));
    EXPECT_LE(some->used, some->planned);
    EXPECT_EQ(static_cast<int64_t>(some->logits.size()), 2 * model().config().text.vocab_size);
    EXPECT_TRUE(run(model(), 5, {}, {shortcut})->logits.empty());
  }
}

TEST_P(TextForward, TheTapeSeesEveryOp) {
  const TextConfig& text = model().config().text;
  const auto plain = run(model(), 10, {9}, {.prompt_shortcut = false});
  std::map<std::string, int64_t> counts;
  for (const TapeEntry& entry : plain->tape.entries) ++counts[entry.entry];
  const int64_t layers = text.num_hidden_layers;
  const int64_t owners = layers - text.num_kv_shared_layers;
  const bool experts = text.enable_moe_block;
  const bool per_layer = text.hidden_size_per_layer_input > 0;
  int64_t own_value = 0;  // layers with a v_proj
  for (const LayerPlan& plan : plan_layers(text)) own_value += plan.owns_kv && !plan.value_is_key;
  EXPECT_EQ(counts["attention"], layers);
  EXPECT_EQ(counts["store_kv"], owners);
  EXPECT_EQ(counts["rope"], layers + owners);
  EXPECT_EQ(counts["embed"], 1);
  EXPECT_EQ(counts["gather_rows"], 1);
  EXPECT_EQ(counts["soft_cap"], 1);
  EXPECT_EQ(counts["route"], experts ? layers : 0);
  EXPECT_EQ(counts["experts"], experts ? layers : 0);
  EXPECT_EQ(counts["combine_per_layer"], per_layer ? 1 : 0);
  EXPECT_EQ(counts["gated_gelu"], layers * (per_layer ? 2 : 1));
  // q and o, k, v, the MLP's three, router, gate and projection of the per-layer input; head.
  EXPECT_EQ(counts["linear"],
            layers * (5 + experts + 2 * per_layer) + owners + own_value + 1 + per_layer);
  // The shortcut runs the late layers over fewer rows, but runs each of them once.
  const auto shortcut = run(model(), 10, {9}, {.prompt_shortcut = true});
  int64_t attention = 0;
  for (const TapeEntry& entry : shortcut->tape.entries) {
    attention += entry.entry == "attention";
    EXPECT_TRUE(entry.entry != "attention" || entry.args_bytes == sizeof(kernels::AttentionArgs));
  }
  EXPECT_EQ(attention, layers);
  // Nobody wants logits: layers that write no cache do not run at all.
  const auto prompt_only = run(model(), 10, {}, {.prompt_shortcut = true});
  attention = 0;
  for (const TapeEntry& entry : prompt_only->tape.entries) attention += entry.entry == "attention";
  EXPECT_EQ(attention, first_shared_layer(text));
}

TEST_P(TextForward, TheProbeSeesEveryNamedValueOnceWithItsShape) {
  const TextConfig& text = model().config().text;
  const auto result = run(model(), 10, {3, 9}, {.prompt_shortcut = false});
  std::map<std::string, std::vector<int64_t>> expected;
  for (int64_t i = 0; i < text.num_hidden_layers; ++i)
    expected[str_cat("text.hidden.", i)] = {10, text.hidden_size};
  expected[str_cat("text.hidden.", text.num_hidden_layers)] = {2, text.hidden_size};
  expected["text.logits"] = {2, text.vocab_size};
  expected["text.per_layer_inputs"] = {};
  if (text.hidden_size_per_layer_input > 0)
    expected["text.per_layer_inputs"] = {10, text.num_hidden_layers,
                                         text.hidden_size_per_layer_input};
  EXPECT_EQ(result->probe.shapes, expected);
}

TEST_P(TextForward, MediaPlaceholdersAreEmbeddedAsThePadRow) {
  for (const int32_t id : model().config().placeholder_token_ids)
    EXPECT_EQ(model().embedding_id(id), model().config().text.pad_token_id);
  EXPECT_EQ(model().embedding_id(7), 7);
}

// The example of multimodal-prompt.md, section 6: t0 boi1 i2 i3 i4 eoi5 t6, a window of 4.
TEST(Batch, ABlockIsSeenAsAWholeOnSlidingLayersOnly) {
  const std::string path = std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/tiny-31b";
  Config config = tiny("tiny-31b").config();
  config.text.sliding_window = 4;
  const Model model = Model::create(config, io::TensorStore::open(path).value()).value();
  KvCache cache = cache_for(model);
  KvSequence sequence;
  ASSERT_TRUE(cache.reserve(sequence, 7));
  const VisionBlock block = {2, 5};
  Batch batch;
  batch.add(model, sequence, std::vector<int32_t>{2, 3, 3, 3, 3, 3, 5}, {},
            {.blocks = {&block, 1}});
  constexpr auto kSliding = static_cast<size_t>(index_of(AttentionKind::kSliding));
  EXPECT_EQ(batch.rows.key_begin[kSliding], (std::vector<int32_t>{0, 0, 0, 0, 1, 2, 3}));
  EXPECT_EQ(batch.rows.key_end[kSliding], (std::vector<int32_t>{1, 2, 5, 5, 5, 6, 7}));
  EXPECT_EQ(batch.rows.key_begin[1 - kSliding], (std::vector<int32_t>(7, 0)));
  EXPECT_EQ(batch.rows.key_end[1 - kSliding], (std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7}));
}

TEST(Batch, RowsKnowTheirKeysTheirSlotsAndWhoIsWanted) {
  const Model& model = tiny("tiny-e");  // a window of 16
  KvCache cache = cache_for(model, 8);
  KvSequence first, second;
  ASSERT_TRUE(cache.reserve(first, 100));
  cache.commit(first, 100);
  ASSERT_TRUE(cache.reserve(first, 2));
  ASSERT_TRUE(cache.reserve(second, 3));
  Batch batch;
  const std::vector<int32_t> ids = {5, 6, 7};
  const std::vector<int32_t> wanted = {0, 2}, last = {1};
  batch.add(model, first, std::span(ids).first(2), last);
  batch.add(model, second, ids, wanted);
  EXPECT_EQ(batch.num_sequences(), 2);
  EXPECT_EQ(batch.rows.positions, (std::vector<int32_t>{100, 101, 0, 1, 2}));
  EXPECT_EQ(batch.rows.sequence, (std::vector<int32_t>{0, 0, 1, 1, 1}));
  EXPECT_EQ(batch.rows.key_begin[0], (std::vector<int32_t>{85, 86, 0, 0, 0}));
  EXPECT_EQ(batch.rows.key_begin[1], (std::vector<int32_t>{0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.rows.key_end[0], (std::vector<int32_t>{101, 102, 1, 2, 3}));
  EXPECT_EQ(batch.logit_rows, (std::vector<int32_t>{1, 2, 4}));
  EXPECT_EQ(batch.logit_row_set.positions, (std::vector<int32_t>{101, 0, 2}));
  EXPECT_EQ(batch.tables[0].table_first, (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(batch.tables[1].table_offset, (std::vector<int32_t>{0, 2}));
  std::set<int32_t> slots(batch.tables[0].slots.begin(), batch.tables[0].slots.end());
  EXPECT_EQ(slots.size(), 5u);
}

TEST(BatchDeathTest, WantedRowsMustExist) {
  const Model& model = tiny("tiny-e");
  KvCache cache = cache_for(model);
  KvSequence sequence;
  ASSERT_TRUE(cache.reserve(sequence, 3));
  const std::vector<int32_t> ids = {5, 6, 7}, beyond = {3}, falling = {2, 1};
  Batch batch;
  EXPECT_DEATH(batch.add(model, sequence, ids, beyond), "internal error");
  EXPECT_DEATH(batch.add(model, sequence, ids, falling), "internal error");
}

}  // namespace
}  // namespace gemma4::model
