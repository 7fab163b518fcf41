// Text models in GGUF: the same logits as the checkpoint they were made of, every dialect of the
// format, and what is said about files that are not one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "apps/text_runner.h"
#include "kernels/registry.h"
#include "model/gguf_config.h"
#include "quant/dequantize.h"
#include "quant/quantize.h"
#include "tests/gguf_model_testing.h"

namespace gemma4 {
namespace {

using ::testing::AllOf;
using testing::GgufModel;
using ::testing::HasSubstr;
using testing::load_tiny;

std::string temporary(const std::string& name) { return ::testing::TempDir() + name; }

std::vector<float> logits_of(std::shared_ptr<const model::Model> model) {
  const int64_t vocab_size = model->config().text.vocab_size;
  std::vector<int32_t> ids = testing::random_tokens(7, 40, vocab_size);
  ids[20] = 502;  // <|image|>: embedded as the pad row
  const std::vector<int32_t> positions = {0, 1, 21, 39};
  const auto runner = apps::TextRunner::create(std::move(model), 1).value();
  return runner.logits(ids, positions, 16).value();
}

Result<model::Model> load(const GgufModel& model, const std::string& name = "model.gguf") {
  const std::string path = temporary(name);
  model.write(path);
  auto loaded = model::Model::load(path);
  std::filesystem::remove(path);  // the map stays
  return loaded;
}

void expect_same_logits(Result<model::Model> loaded, const std::string& golden) {
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const auto found = logits_of(std::make_shared<const model::Model>(std::move(loaded).value()));
  const auto expected = logits_of(load_tiny(golden));
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0);
}

// Every matrix whose rows are whole blocks in another type.
void quantise(GgufModel& model, DType type) {
  for (GgufModel::Tensor& tensor : model.tensors) {
    const int64_t cols = tensor.shape.back();
    if (tensor.dtype != DType::kBF16 || cols % info_of(type).block_elements != 0) continue;
    const auto rows = static_cast<int64_t>(tensor.bytes.size()) / row_bytes(tensor.dtype, cols);
    std::string bytes(static_cast<size_t>(rows * row_bytes(type, cols)), '\0');
    std::vector<float> values(static_cast<size_t>(cols));
    for (int64_t row = 0; row < rows; ++row) {
      quant::dequantize_row(tensor.dtype, tensor.rows(row, 1).data(), cols, values.data());
      quant::quantize_row(type, values.data(), cols, nullptr,
                          bytes.data() + row * row_bytes(type, cols));
    }
    tensor.dtype = type;
    tensor.bytes = std::move(bytes);
  }
}

std::string error_of(const GgufModel& model) {
  const auto loaded = load(model);
  if (loaded.ok()) return "no error";
  EXPECT_THAT(loaded.error().message, HasSubstr("model.gguf: "));
  EXPECT_THAT(loaded.error().message, Not(HasSubstr("\n")));
  return loaded.error().message;
}

TEST(QuantisedModel, StepsOfAnyLengthGiveTheSameBits) {
  for (const char* golden : {"tiny-e", "tiny-26b"})
    for (const DType type : {DType::kQ4_0, DType::kQ8_0}) {
      SCOPED_TRACE(std::string(golden) + " in " + std::string(name_of(type)));
      GgufModel file(golden);
      quantise(file, type);
      const std::string path = temporary("quantised.gguf");
      file.write(path);
      const auto device = kernels::open_cpu_device({.num_threads = 2}).value();
      auto model = std::make_shared<const model::Model>(model::Model::load(path, device).value());
      std::filesystem::remove(path);
      const std::vector<int32_t> ids =
          testing::random_tokens(7, 40, model->config().text.vocab_size);
      const std::vector<int32_t> positions = {0, 1, 21, 39};
      const auto runner = apps::TextRunner::create(model, 0).value();
      const std::vector<float> whole = runner.logits(ids, positions, 40).value();
      for (const int64_t chunk : {1, 5, 16})
        EXPECT_EQ(runner.logits(ids, positions, chunk).value(), whole) << chunk;
    }
}

TEST(QuantisedModel, IsRefusedWhereNoKernelReadsIt) {
  GgufModel file("tiny-e");
  quantise(file, DType::kQ8_0);
  const std::string path = temporary("refused.gguf");
  file.write(path);
  kernels::Table table = kernels::reference_table();
  table.reads_blocks = false;
  const auto loaded = model::Model::load(path, kernels::make_cpu_device(table, {}));
  std::filesystem::remove(path);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(loaded.error().message,
              AllOf(HasSubstr("weights of type Q8_0"), HasSubstr("use --device cpu")));
}

class GgufModelTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufModelTest, SameLogitsAsTheCheckpoint) {
  expect_same_logits(load(GgufModel(GetParam())), GetParam());
}

TEST_P(GgufModelTest, SameConfigurationAsTheCheckpoint) {
  const auto loaded = load(GgufModel(GetParam()));
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const model::Config& found = loaded.value().config();
  const model::Config& expected = load_tiny(GetParam())->config();
  EXPECT_EQ(found.text.layer_types, expected.text.layer_types);
  EXPECT_EQ(found.text.layer_head_dims, expected.text.layer_head_dims);
  EXPECT_EQ(found.text.layer_kv_heads, expected.text.layer_kv_heads);
  EXPECT_EQ(found.text.attention_k_eq_v, expected.text.attention_k_eq_v);
  EXPECT_EQ(found.text.num_kv_shared_layers, expected.text.num_kv_shared_layers);
  EXPECT_EQ(found.text.use_double_wide_mlp, expected.text.use_double_wide_mlp);
  EXPECT_EQ(found.text.final_logit_softcapping, expected.text.final_logit_softcapping);
  EXPECT_EQ(found.text.bidirectional_vision, expected.text.bidirectional_vision);
  EXPECT_EQ(found.text.max_position_embeddings, expected.text.max_position_embeddings);
  EXPECT_EQ(found.placeholder_token_ids, expected.placeholder_token_ids);
  EXPECT_EQ(loaded.value().text_size().parameters, load_tiny(GetParam())->text_size().parameters);
}

TEST_P(GgufModelTest, ReadsSplitFiles) {
  const std::string stem = temporary("split");
  GgufModel(GetParam()).write_split(stem);
  expect_same_logits(model::Model::load(stem + "-00001-of-00002.gguf"), GetParam());
  expect_same_logits(model::Model::load(stem + "-00002-of-00002.gguf"), GetParam());
  std::filesystem::remove(stem + "-00002-of-00002.gguf");
  const auto missing = model::Model::load(stem + "-00001-of-00002.gguf");
  EXPECT_THAT(missing.error().message,
              HasSubstr("split-00002-of-00002.gguf: part 2 of 2 is missing"));
  std::filesystem::rename(stem + "-00001-of-00002.gguf", temporary("alone.gguf"));
  EXPECT_THAT(model::Model::load(temporary("alone.gguf")).error().message,
              HasSubstr("alone.gguf: is part 1 of 2 of a split model, but its name"));
  std::filesystem::remove(temporary("alone.gguf"));
}

TEST_P(GgufModelTest, WithoutRopeFreqsAQuarterRotates) {
  GgufModel model(GetParam());
  model.take("rope_freqs.weight");
  expect_same_logits(load(model), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Tiny, GgufModelTest, testing::tiny_models(), testing::tiny_case_name);

TEST(GgufDialectTest, WidensToF32) {
  for (const char* golden : {"tiny-e", "tiny-26b"}) {
    auto loaded = load(GgufModel(golden, DType::kF32));
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    const auto found = logits_of(std::make_shared<const model::Model>(std::move(loaded).value()));
    const auto expected = logits_of(load_tiny(golden));
    float largest = 0;
    for (size_t i = 0; i < found.size(); ++i)
      largest = std::max(largest, std::abs(found[i] - expected[i]));
    EXPECT_LT(largest, 1e-3f) << golden;  // of 30: another order of summation
  }
}

// Scalars, arrays and other integer types for the same thing.
TEST(GgufDialectTest, ReadsOtherSpellingsOfMetadata) {
  GgufModel model("tiny-12b");
  const std::vector<int32_t> widths(6, 256);
  model.set("gemma4.feed_forward_length", widths);
  model.set("gemma4.attention.head_count", std::vector<int32_t>(6, 4));
  model.set("gemma4.attention.sliding_window_pattern", 6u);  // every sixth layer is full
  for (const char* key :
       {"gemma4.attention.shared_kv_layers", "gemma4.rope.freq_base_swa",
        "gemma4.rope.dimension_count_swa", "gemma4.embedding_length_per_layer_input"})
    G4_CHECK(model.metadata.erase(key) == 1);
  expect_same_logits(load(model), "tiny-12b");
}

TEST(GgufDialectTest, SplitsFusedAttention) {
  GgufModel model("tiny-e");
  auto q = model.take("blk.1.attn_q.weight");
  const auto k = model.take("blk.1.attn_k.weight");
  const auto v = model.take("blk.1.attn_v.weight");
  q.name = "blk.1.attn_qkv.weight";
  q.shape[0] += k.shape[0] + v.shape[0];
  q.bytes += k.bytes + v.bytes;
  model.tensors.push_back(q);
  expect_same_logits(load(model), "tiny-e");
  model.tensors.back().shape[0] -= 1;
  model.tensors.back().bytes = model.tensors.back().rows(0, model.tensors.back().shape[0]);
  EXPECT_THAT(error_of(model), HasSubstr("\"blk.1.attn_qkv.weight\" has shape [191, 96]"));
}

TEST(GgufDialectTest, JoinsSplitExperts) {
  GgufModel model("tiny-26b");
  const auto fused = model.take("blk.2.ffn_gate_up_exps.weight");
  const int64_t experts = fused.shape[0], rows = fused.shape[1] / 2;
  GgufModel::Tensor gate{
      "blk.2.ffn_gate_exps.weight", {experts, rows, fused.shape[2]}, fused.dtype, ""};
  GgufModel::Tensor up = gate;
  up.name = "blk.2.ffn_up_exps.weight";
  for (int64_t e = 0; e < experts; ++e) {
    gate.bytes += fused.rows(2 * e * rows, rows);
    up.bytes += fused.rows((2 * e + 1) * rows, rows);
  }
  model.tensors.push_back(gate);
  EXPECT_THAT(error_of(model), HasSubstr("\"blk.2.ffn_up_exps.weight\" is missing"));
  model.tensors.push_back(up);
  expect_same_logits(load(model), "tiny-26b");
}

TEST(GgufDialectTest, IgnoresKeysAndValuesOfSharedLayers) {
  GgufModel model("tiny-e");
  for (const char* leaf : {"attn_k.weight", "attn_v.weight", "attn_k_norm.weight"}) {
    auto tensor = model.find(std::string("blk.0.") + leaf);
    tensor.name = std::string("blk.8.") + leaf;
    model.tensors.push_back(tensor);
  }
  expect_same_logits(load(model), "tiny-e");
}

TEST(GgufDialectTest, HonoursRopeFreqs) {
  GgufModel model("tiny-e");
  auto& freqs = model.find("rope_freqs.weight");
  const std::vector<float> divisors(32, 2.0f);
  std::memcpy(freqs.bytes.data(), divisors.data(), freqs.bytes.size());
  const auto loaded = load(model);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const auto found = loaded.value().inverse_frequencies(model::AttentionKind::kFull);
  ASSERT_EQ(found.size(), 32u);
  EXPECT_EQ(found[0], 0.5f);
  EXPECT_EQ(found[16], 0.5f / 1000.0f);  // theta is 10^6, and pair 16 of 32 is half way
}

TEST(GgufDialectTest, ReadsGenerationDefaults) {
  io::GgufHeader header;
  model::add_gguf_generation(
      {.temperature = 0.5f, .top_k = 3, .top_p = 0.25f, .suppress_tokens = {5, 6}}, header);
  const std::string path = temporary("generation.gguf");
  G4_CHECK(io::GgufWriter::create(path, header).value().commit().ok());
  const std::string file = io::read_file(path).value();
  std::filesystem::remove(path);
  const auto gguf = io::GgufFile::parse(std::as_bytes(std::span(file))).value();
  const auto generation = model::read_gguf_generation(gguf).value();
  EXPECT_EQ(generation.temperature, 0.5f);
  EXPECT_EQ(generation.top_k, 3);
  EXPECT_EQ(generation.top_p, 0.25f);
  EXPECT_EQ(generation.suppress_tokens, (std::vector<int32_t>{5, 6}));
}

TEST(GgufRefusalTest, NamesOtherArchitectures) {
  GgufModel model("tiny-31b");
  model.set("general.architecture", "llama");
  EXPECT_THAT(error_of(model), HasSubstr("this is a \"llama\" model, not a Gemma 4 model"));
  model.set("general.architecture", "gemma4-assistant");
  EXPECT_THAT(error_of(model), HasSubstr("drafter"));
  model.set("general.architecture", "clip");
  EXPECT_THAT(error_of(model), HasSubstr("projector"));
  model.metadata.erase("general.architecture");
  EXPECT_THAT(error_of(model), HasSubstr("\"general.architecture\" is missing"));
}

// Real files of other models; scripts/fetch_vocabulary.sh fetches them.
TEST(GgufRefusalTest, NamesOtherModels) {
  const std::string folder = std::string(GEMMA4_SOURCE_DIR) + "/build/cache/vocabulary/";
  if (!std::filesystem::exists(folder + "other-models"))
    GTEST_SKIP() << folder << "other-models is missing; scripts/fetch_vocabulary.sh fetches it";
  int num_files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder + "other-models")) {
    const auto loaded = model::Model::load(file.path());
    ASSERT_FALSE(loaded.ok()) << file.path();
    EXPECT_THAT(loaded.error().message, HasSubstr(" model, not a Gemma 4 model (gemma4)"));
    ++num_files;
  }
  EXPECT_EQ(num_files, 18);
  EXPECT_THAT(model::Model::load(folder + "ggml-vocab-gemma-4.gguf").error().message,
              HasSubstr("holds a vocabulary and no weights"));
}

TEST(GgufRefusalTest, NamesMissingAndMisshapenTensors) {
  GgufModel model("tiny-31b");
  const auto scale = model.take("blk.3.layer_output_scale.weight");
  EXPECT_THAT(error_of(model), HasSubstr("\"blk.3.layer_output_scale.weight\" is missing"));
  model.tensors.push_back(scale);
  auto& up = model.find("blk.0.ffn_up.weight");
  std::swap(up.shape[0], up.shape[1]);
  EXPECT_THAT(error_of(model), AllOf(HasSubstr("\"blk.0.ffn_up.weight\" has shape [128, 256]"),
                                     HasSubstr("need [256, 128]")));
  GgufModel other("tiny-31b");
  other.tensors.push_back({"blk.0.attn_q.bias", {4}, DType::kF32, std::string(16, '\0')});
  EXPECT_THAT(error_of(other), HasSubstr("\"blk.0.attn_q.bias\" is not one that Gemma 4 has"));
  other.tensors.clear();
  EXPECT_THAT(error_of(other), HasSubstr("holds a vocabulary and no weights"));
}

TEST(GgufRefusalTest, NamesTypesItCannotCompute) {
  GgufModel model("tiny-31b");
  auto& up = model.find("blk.0.ffn_up.weight");
  up.dtype = DType::kI16;  // as long as BF16
  EXPECT_THAT(error_of(model), HasSubstr("\"blk.0.ffn_up.weight\" has type I16"));
}

TEST(GgufRefusalTest, NamesImpossibleMetadata) {
  const auto error_with = [](const std::string& key, auto value) {
    GgufModel model("tiny-e");
    model.set(key, value);
    return error_of(model);
  };
  EXPECT_THAT(error_with("gemma4.block_count", 0u), HasSubstr("\"gemma4.block_count\": is 0"));
  EXPECT_THAT(error_with("gemma4.block_count", 7u), HasSubstr("10 entries for 7 layers"));
  EXPECT_THAT(error_with("gemma4.embedding_length", "wide"), HasSubstr("expected an integer"));
  EXPECT_THAT(error_with("gemma4.rope.dimension_count", 16u), HasSubstr("is 16, but"));
  EXPECT_THAT(error_with("gemma4.rope.scaling.type", "yarn"), HasSubstr("no Gemma 4 model has it"));
  EXPECT_THAT(error_with("gemma4.attention.sliding_window_pattern", std::vector<bool>(10, true)),
              HasSubstr("the last layer slides"));
  EXPECT_THAT(error_with("gemma4.feed_forward_length",
                         std::vector<int32_t>{192, 192, 192, 192, 96, 192, 384, 384, 384, 384}),
              HasSubstr("is 96 in layer 4"));
  EXPECT_THAT(error_with("gemma4.attention.head_count_kv", 3u), HasSubstr("not a multiple"));
  EXPECT_THAT(error_with("gemma4.attention.shared_kv_layers", 10u), HasSubstr("expected 0 to 9"));
  EXPECT_THAT(error_with("gemma4.attention.shared_kv_layers", 6u), HasSubstr("could give them"));
  EXPECT_THAT(error_with("tokenizer.ggml.bos_token_id", 512u), HasSubstr("expected 0 to 511"));
}

TEST(GgufRefusalTest, FullLayersHaveValuesAllOrNone) {
  GgufModel model("tiny-e");
  const auto v = model.take("blk.4.attn_v.weight");  // the only full layer that owns some
  const auto loaded = load(model);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_TRUE(loaded.value().config().text.attention_k_eq_v);
}

}  // namespace
}  // namespace gemma4
