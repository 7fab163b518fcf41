// One model in every form a checkpoint comes in: precision, shards, prefixes, tied or not, with the
// inert tensors of published files. The logits must be those of the golden file.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "apps/text_runner.h"
#include "io/safetensors.h"
#include "model/tensor_list.h"

namespace gemma4::apps {
namespace {

namespace fs = std::filesystem;

struct NewTensor {
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};
using Tensors = std::map<std::string, NewTensor>;

std::string source_folder() { return std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/tiny-e"; }

std::string read_text(const std::string& path) { return io::read_file(path).value(); }

Tensors read_checkpoint() {
  const auto store = io::TensorStore::open(source_folder()).value();
  Tensors tensors;
  for (const auto& [name, tensor] : store.tensors())
    tensors[name] = {tensor.dtype, tensor.shape, {tensor.bytes.begin(), tensor.bytes.end()}};
  return tensors;
}

template <typename T>
void append(std::vector<std::byte>& bytes, T value) {
  const auto* raw = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), raw, raw + sizeof value);
}

// Exact: every bfloat16 of this checkpoint fits in float32, and its magnitudes in float16 to
// rounding.
uint16_t f32_to_f16(float value) {
  constexpr uint16_t kInfinity = 0x7C00;
  uint16_t above = 0;  // the first magnitude that is not below; they rise with their bits
  for (uint16_t step = 0x4000; step > 0; step /= 2)
    if (above + step <= kInfinity &&
        f16_to_f32(static_cast<uint16_t>(above + step - 1)) < std::abs(value))
      above = static_cast<uint16_t>(above + step);
  const auto below = static_cast<uint16_t>(above > 0 ? above - 1 : 0);
  const bool nearer_below =
      std::abs(value) - f16_to_f32(below) < f16_to_f32(above) - std::abs(value);
  return static_cast<uint16_t>((nearer_below ? below : above) | (std::signbit(value) ? 0x8000 : 0));
}

NewTensor convert(const NewTensor& tensor, DType dtype) {
  NewTensor result{dtype, tensor.shape, {}};
  const auto count = static_cast<int64_t>(tensor.bytes.size()) / size_of(tensor.dtype);
  for (int64_t i = 0; i < count; ++i) {
    const float value = load_float(tensor.bytes.data(), tensor.dtype, i);
    if (dtype == DType::kF32)
      append(result.bytes, value);
    else
      append(result.bytes, f32_to_f16(value));
  }
  return result;
}

void write_file(const std::string& path, const Tensors& tensors) {
  std::vector<io::SafetensorsWriter::Entry> entries;
  for (const auto& [name, tensor] : tensors) entries.push_back({name, tensor.dtype, tensor.shape});
  auto writer = io::SafetensorsWriter::create(path, entries).value();
  for (const auto& [name, tensor] : tensors) ASSERT_TRUE(writer.write(tensor.bytes).ok());
  ASSERT_TRUE(writer.commit().ok());
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

class CheckpointForms : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/gemma4_forms_" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    config_ = read_text(source_folder() + "/config.json");
    tensors_ = read_checkpoint();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write_config() { std::ofstream(folder_ + "/config.json") << config_; }

  // Relative error of the prompt's logits against the golden file.
  double error() {
    auto model = model::Model::load(folder_);
    EXPECT_TRUE(model.ok()) << model.error().message;
    if (!model.ok()) return INFINITY;
    const auto golden = io::TensorStore::open(source_folder() + "/golden.safetensors").value();
    const auto wide = io::read_integers(*golden.find("text.input_ids")).value();
    const std::vector<int32_t> ids(wide.begin(), wide.end());
    std::vector<int32_t> positions(ids.size());
    std::iota(positions.begin(), positions.end(), 0);
    const auto shared = std::make_shared<const model::Model>(std::move(model).value());
    const auto logits = TextRunner::create(shared, 1).value().logits(ids, positions, 64).value();
    const auto reference = io::read_floats(*golden.find("text.logits")).value();
    double difference = 0;
    double norm = 0;
    for (size_t i = 0; i < reference.size(); ++i) {
      difference += (logits[i] - reference[i]) * (logits[i] - reference[i]);
      norm += reference[i] * reference[i];
    }
    return std::sqrt(difference / norm);
  }

  std::string folder_;
  std::string config_;
  Tensors tensors_;
};

TEST_F(CheckpointForms, Float32) {
  for (auto& [name, tensor] : tensors_) tensor = convert(tensor, DType::kF32);
  write_config();
  write_file(folder_ + "/model.safetensors", tensors_);
  EXPECT_LT(error(), 1e-3);
}

// Small weights lose bits as float16 subnormals: 2^-25 absolute against values around 0.1.
TEST_F(CheckpointForms, Float16) {
  for (auto& [name, tensor] : tensors_) tensor = convert(tensor, DType::kF16);
  write_config();
  write_file(folder_ + "/model.safetensors", tensors_);
  EXPECT_LT(error(), 1e-3);
}

TEST_F(CheckpointForms, ThreeShards) {
  std::array<Tensors, 3> shards;
  std::string map;
  size_t i = 0;
  for (const auto& [name, tensor] : tensors_) {
    const size_t shard = i++ % shards.size();
    shards[shard][name] = tensor;
    map += (map.empty() ? "\"" : ",\"") + name + "\":\"model-0000" + std::to_string(shard + 1) +
           "-of-00003.safetensors\"";
  }
  write_config();
  for (size_t shard = 0; shard < shards.size(); ++shard)
    write_file(folder_ + "/model-0000" + std::to_string(shard + 1) + "-of-00003.safetensors",
               shards[shard]);
  std::ofstream(folder_ + "/model.safetensors.index.json")
      << "{\"metadata\":{\"total_size\":1},\"weight_map\":{" << map << "}}";
  EXPECT_LT(error(), 1e-3);
}

// A text-only checkpoint: the text keys at top level, prefix "model.", no towers.
TEST_F(CheckpointForms, TextOnly) {
  Tensors text;
  const std::string prefix = "model.language_model.";
  for (const auto& [name, tensor] : tensors_)
    if (name.starts_with(prefix)) text["model." + name.substr(prefix.size())] = tensor;
  const size_t begin = config_.find('{', config_.find("\"text_config\""));
  size_t end = begin;
  for (int depth = 0; end < config_.size(); ++end) {
    depth += config_[end] == '{' ? 1 : config_[end] == '}' ? -1 : 0;
    if (depth == 0) break;
  }
  config_ = config_.substr(begin, end - begin + 1);
  write_config();
  write_file(folder_ + "/model.safetensors", text);
  EXPECT_LT(error(), 1e-3);
}

TEST_F(CheckpointForms, WithoutLeadingModel) {
  Tensors renamed;
  for (const auto& [name, tensor] : tensors_) renamed[name.substr(std::strlen("model."))] = tensor;
  write_config();
  write_file(folder_ + "/model.safetensors", renamed);
  EXPECT_LT(error(), 1e-3);
}

// Published E2B and E4B files carry K and V weights for layers that share them. They are inert.
TEST_F(CheckpointForms, InertSharedLayerKeysAndValues) {
  const std::string layer = "model.language_model.layers.7.self_attn.";
  for (const char* name : {"k_proj.weight", "v_proj.weight"})
    tensors_[layer + name] = {DType::kBF16, {32, 96}, std::vector<std::byte>(32 * 96 * 2)};
  tensors_[layer + "k_norm.weight"] = {DType::kBF16, {32}, std::vector<std::byte>(64)};
  write_config();
  write_file(folder_ + "/model.safetensors", tensors_);
  EXPECT_LT(error(), 1e-3);
}

// A head that is said to be tied is ignored; one that is not is used.
TEST_F(CheckpointForms, TiedHeadIsIgnored) {
  tensors_["lm_head.weight"] = tensors_["model.language_model.embed_tokens.weight"];
  for (std::byte& byte : tensors_["lm_head.weight"].bytes) byte ^= std::byte{0x80};
  write_config();
  write_file(folder_ + "/model.safetensors", tensors_);
  EXPECT_LT(error(), 1e-3);
}

TEST_F(CheckpointForms, UntiedHeadIsUsed) {
  NewTensor head = tensors_["model.language_model.embed_tokens.weight"];
  for (size_t i = 1; i < head.bytes.size(); i += 2) head.bytes[i] ^= std::byte{0x80};  // minus W
  tensors_["lm_head.weight"] = head;
  replace_all(config_, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  write_config();
  write_file(folder_ + "/model.safetensors", tensors_);
  EXPECT_NEAR(error(), 2.0, 1e-3);  // minus the logits: twice as far away as zero
}

// `synth` writes what the list says: without the head it would write files that cannot be loaded.
TEST_F(CheckpointForms, UntiedHeadIsInTheTensorList) {
  const auto listed = [&] {
    model::TextWeights weights;
    const auto config = model::parse_config(config_).value();
    const auto tensors = model::text_tensors(config, "model.language_model.", weights);
    return std::count_if(tensors.begin(), tensors.end(),
                         [](const auto& tensor) { return tensor.name == "lm_head.weight"; });
  };
  EXPECT_EQ(listed(), 0);
  replace_all(config_, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  EXPECT_EQ(listed(), 1);
}

}  // namespace
}  // namespace gemma4::apps
