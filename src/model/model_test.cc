// Loading: what a checkpoint may look like, and what is said when it is not one.

#include "model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "model/tensor_list.h"

namespace gemma4::model {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::string_view kSmallText =
    R"("vocab_size":12,"hidden_size":6,"intermediate_size":5,"num_hidden_layers":2,
       "num_attention_heads":2,"num_key_value_heads":1,"head_dim":4,"global_head_dim":8,
       "hidden_size_per_layer_input":0,"layer_types":["sliding_attention","full_attention"])";

std::string small_config(const std::string& extra = "") {
  return str_cat("{\"model_type\":\"gemma4_text\",", kSmallText, extra, "}");
}

// Writes a checkpoint folder; the test edits the list of tensors before.
class Checkpoint {
 public:
  explicit Checkpoint(std::string json) : json_(std::move(json)) {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    TextWeights weights;
    const Config config = parse_config(json_).value();
    for (const TensorEntry& tensor : text_tensors(config, default_text_prefix(config), weights))
      entries.push_back({tensor.name, DType::kBF16, tensor.shape});
  }
  ~Checkpoint() { fs::remove_all(folder_); }

  Result<Model> load() const {
    std::ofstream(folder_ + "/config.json") << json_;
    auto writer = io::SafetensorsWriter::create(folder_ + "/model.safetensors", entries).value();
    for (const auto& entry : entries) {
      int64_t size = 1;
      for (const int64_t dim : entry.shape) size *= dim;
      const std::vector<std::byte> zeros(static_cast<size_t>(size * size_of(entry.dtype)));
      EXPECT_TRUE(writer.write(zeros).ok());
    }
    EXPECT_TRUE(writer.commit().ok());
    return Model::load(folder_);
  }
  std::string error() const {
    const auto model = load();
    if (model.ok()) return "no error";
    EXPECT_THAT(model.error().message, HasSubstr(folder_));  // which checkpoint it was
    return model.error().message;
  }
  io::SafetensorsWriter::Entry& find(const std::string& part) {
    for (auto& entry : entries)
      if (entry.name.find(part) != std::string::npos) return entry;
    ADD_FAILURE() << part;
    return entries[0];
  }
  void rename_prefix(const std::string& from, const std::string& to) {
    for (auto& entry : entries) entry.name = to + entry.name.substr(from.size());
  }
  std::vector<io::SafetensorsWriter::Entry> entries;

 private:
  std::string json_;
  std::string folder_ = ::testing::TempDir() + "model-XXXXXX";
};

TEST(Model, LoadsUnderEveryPrefixInCirculation) {
  for (const char* prefix :
       {"model.", "model.language_model.", "language_model.model.", "language_model.", ""}) {
    Checkpoint checkpoint(small_config());
    checkpoint.rename_prefix("model.", prefix);
    const auto model = checkpoint.load();
    ASSERT_TRUE(model.ok()) << prefix << ": " << model.error().message;
    EXPECT_EQ(model.value().weights().lm_head.weight.data,
              model.value().weights().embed_tokens.data);
    EXPECT_GT(model.value().bytes_per_token(), 0u);
  }
}

TEST(Model, ExtraTensorsAndOtherFloatTypesAreWelcome) {
  Checkpoint checkpoint(small_config());
  checkpoint.find("q_proj").dtype = DType::kF32;
  checkpoint.find("layer_scalar").dtype = DType::kF16;
  checkpoint.find("mlp.up_proj").dtype = DType::kF16;
  checkpoint.entries.push_back({"model.vision_tower.anything", DType::kI64, {3}});
  EXPECT_EQ(checkpoint.error(), "no error");
}

TEST(Model, EveryMissingTensorIsNamed) {
  const Checkpoint whole(small_config());
  for (size_t i = 0; i < whole.entries.size(); ++i) {
    Checkpoint checkpoint(small_config());
    checkpoint.entries.erase(checkpoint.entries.begin() + static_cast<std::ptrdiff_t>(i));
    const std::string leaf = whole.entries[i].name.substr(6);  // after "model."
    EXPECT_THAT(checkpoint.error(), HasSubstr(leaf));
    EXPECT_THAT(checkpoint.error(), HasSubstr("is missing"));
  }
}

TEST(Model, EveryWrongShapeAndTypeIsNamed) {
  const Checkpoint whole(small_config());
  for (size_t i = 0; i < whole.entries.size(); ++i) {
    Checkpoint checkpoint(small_config());
    checkpoint.entries[i].shape.back() += 1;
    EXPECT_THAT(
        checkpoint.error(),
        HasSubstr(str_cat("tensor \"", whole.entries[i].name, "\" has shape ",
                          io::shape_string(checkpoint.entries[i].shape),
                          ", the configuration needs ", io::shape_string(whole.entries[i].shape))));
    Checkpoint other(small_config());
    other.entries[i].dtype = DType::kI16;
    EXPECT_THAT(other.error(), HasSubstr(str_cat("\"", whole.entries[i].name,
                                                 "\" has type I16, expected BF16, F16 or F32")));
  }
}

TEST(Model, AnUntiedHeadMustBeThere) {
  Checkpoint checkpoint(small_config(",\"tie_word_embeddings\":false"));
  const auto head = checkpoint.find("lm_head.weight");
  std::erase_if(checkpoint.entries, [&](const auto& entry) { return entry.name == head.name; });
  EXPECT_THAT(checkpoint.error(), HasSubstr("\"lm_head.weight\" is missing"));
  checkpoint.entries.push_back(head);
  const auto model = checkpoint.load();
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_NE(model.value().weights().lm_head.weight.data, model.value().weights().embed_tokens.data);
}

TEST(Model, AFolderThatIsNoCheckpointSaysWhatItLacks) {
  const std::string folder = ::testing::TempDir() + "no-such-model";
  EXPECT_THAT(Model::load(folder).error().message, HasSubstr("config.json"));
  fs::create_directory(folder);
  std::ofstream(folder + "/config.json") << "{\"model_type\":\"qwen2\"}";
  EXPECT_THAT(Model::load(folder).error().message, HasSubstr("config.json: this is a \"qwen2\""));
  std::ofstream(folder + "/config.json") << small_config();
  EXPECT_THAT(Model::load(folder).error().message, HasSubstr("model.safetensors"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace gemma4::model
