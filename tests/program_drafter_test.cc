// Drafters (gemma4-assistant): written from a folder, read back, and what is said about them.

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "io/gguf_parts.h"
#include "io/gguf_writer.h"
#include "io/safetensors.h"
#include "model/drafter_file.h"
#include "model/formula_weights.h"
#include "model/gguf_export.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kVocabulary = 512;

ordered_json small_config() {
  const ordered_json text = {
      {"hidden_size", 64},
      {"intermediate_size", 128},
      {"num_hidden_layers", 4},
      {"num_kv_shared_layers", 4},
      {"num_attention_heads", 4},
      {"num_key_value_heads", 1},
      {"head_dim", 32},
      {"global_head_dim", 64},
      {"vocab_size", kVocabulary},
      {"sliding_window", 16},
      {"layer_types",
       {"sliding_attention", "sliding_attention", "sliding_attention", "full_attention"}},
      {"hidden_size_per_layer_input", 0},
      {"vocab_size_per_layer_input", 0}};
  return {{"model_type", "gemma4_assistant"}, {"backbone_hidden_size", 96},
          {"use_ordered_embeddings", true},   {"num_centroids", 32},
          {"centroid_intermediate_top_k", 4}, {"text_config", text}};
}

// A folder with weights of the formula; the order of tokens is backwards.
class DrafterFolder {
 public:
  explicit DrafterFolder(const ordered_json& json = small_config()) {
    write_whole(folder_ / "config.json", json.dump());
    config = model::parse_drafter_config(json.dump()).value();
    std::vector<io::SafetensorsWriter::Entry> entries;
    const auto tensors = model::gguf_drafter_tensors(config);
    for (const auto& tensor : tensors)
      entries.push_back(
          {tensor.checkpoint_name, tensor.is_ids ? DType::kI64 : DType::kBF16, tensor.shape});
    auto writer = io::SafetensorsWriter::create(folder_ / "model.safetensors", entries).value();
    for (const auto& tensor : tensors) {
      int64_t count = 1;
      for (const int64_t dim : tensor.shape) count *= dim;
      std::vector<uint16_t> values(static_cast<size_t>(count));
      std::vector<int64_t> ids;
      for (int64_t id = kVocabulary; tensor.is_ids && id-- > 0;) ids.push_back(id);
      model::formula_bf16(tensor.checkpoint_name, tensor.shape, 0, values);
      const Status status = writer.write(tensor.is_ids ? std::as_bytes(std::span(ids))
                                                       : std::as_bytes(std::span(values)));
      EXPECT_TRUE(status.ok());
    }
    EXPECT_TRUE(writer.commit().ok());
  }
  std::string path() const { return folder_.path(); }
  std::string operator/(const std::string& name) const { return folder_ / name; }

  model::DrafterConfig config;

 private:
  TemporaryFolder folder_;
};

Outcome convert(const std::string& from, const std::string& to) {
  return run_program({"convert", from, to, "--synthetic-vocabulary"});
}

void expect_same(const model::Drafter& a, const model::Drafter& b) {
  EXPECT_EQ(a.config.backbone_hidden_size, b.config.backbone_hidden_size);
  EXPECT_EQ(a.config.use_ordered_embeddings, b.config.use_ordered_embeddings);
  EXPECT_EQ(a.config.num_centroids, b.config.num_centroids);
  EXPECT_EQ(a.config.centroid_intermediate_top_k, b.config.centroid_intermediate_top_k);
  EXPECT_EQ(a.config.text.layer_types, b.config.text.layer_types);
  EXPECT_EQ(a.config.text.layer_head_dims, b.config.text.layer_head_dims);
  EXPECT_EQ(a.config.text.layer_kv_heads, b.config.text.layer_kv_heads);
  EXPECT_EQ(a.config.text.num_kv_shared_layers, b.config.text.num_kv_shared_layers);
  EXPECT_EQ(a.config.text.sliding_window, b.config.text.sliding_window);
  EXPECT_EQ(a.config.text.intermediate_size, b.config.text.intermediate_size);
  EXPECT_EQ(a.config.text.final_logit_softcapping, b.config.text.final_logit_softcapping);
  for (const auto& entry : model::gguf_drafter_tensors(a.config)) {
    const io::Tensor* found = b.store.find(entry.checkpoint_name);
    ASSERT_NE(found, nullptr) << entry.checkpoint_name;
    const io::Tensor& expected = *a.store.find(entry.checkpoint_name);
    EXPECT_EQ(expected.shape, found->shape) << entry.checkpoint_name;
    if (entry.is_ids)
      EXPECT_EQ(io::read_integers(expected).value(), io::read_integers(*found).value());
    else
      EXPECT_EQ(io::read_floats(expected).value(), io::read_floats(*found).value())
          << entry.checkpoint_name;
  }
}

TEST(Drafter, GivesBackTheFolder) {
  const DrafterFolder folder;
  const Outcome made = convert(folder.path(), folder / "a.gguf");
  EXPECT_EQ(made.exit_code, 0) << testing::PrintToString(made);
  EXPECT_EQ(made.err, "");
  const auto found = model::open_drafter(folder / "a.gguf");
  ASSERT_TRUE(found.ok()) << found.error().message;
  expect_same(model::open_drafter(folder.path()).value(), found.value());

  const auto parts = io::GgufParts::open(folder / "a.gguf").value();
  EXPECT_EQ(parts.tensors().size(), 4u * 11 + 2 + 4 + 1);  // and rope_freqs
  EXPECT_EQ(parts.find_tensor("masked_embd_ordering")->type->name, "I32");
  EXPECT_EQ(parts.find_tensor("nextn.pre_projection.weight")->dims,
            (std::vector<int64_t>{192, 64}));
  const io::GgufFile& file = parts.metadata();
  EXPECT_EQ(file.get_string("general.architecture").value(), "gemma4-assistant");
  EXPECT_EQ(file.get_int("gemma4-assistant.embedding_length_out").value(), 96);
  EXPECT_EQ(file.get_int("gemma4-assistant.nextn_predict_layers").value(), 4);
  EXPECT_EQ(file.get_int("gemma4-assistant.attention.shared_kv_layers").value(), 4);

  ASSERT_EQ(convert(folder / "a.gguf", folder / "b.gguf").exit_code, 0);
  expect_same(found.value(), model::open_drafter(folder / "b.gguf").value());
  ASSERT_EQ(convert(folder / "b.gguf", folder / "c.gguf").exit_code, 0);
  EXPECT_EQ(read_whole(folder / "b.gguf"), read_whole(folder / "c.gguf"));
}

TEST(Drafter, WithoutClusters) {
  ordered_json json = small_config();
  json["use_ordered_embeddings"] = false;
  json["text_config"].erase("num_kv_shared_layers");  // all, also unsaid
  const DrafterFolder folder(json);
  EXPECT_EQ(folder.config.text.num_kv_shared_layers, 4);
  ASSERT_EQ(convert(folder.path(), folder / "a.gguf").exit_code, 0);
  expect_same(model::open_drafter(folder.path()).value(),
              model::open_drafter(folder / "a.gguf").value());
  EXPECT_EQ(io::GgufParts::open(folder / "a.gguf").value().tensors().size(), 4u * 11 + 2 + 2 + 1);
}

TEST(Drafter, Quantizes) {
  const DrafterFolder folder;
  const Outcome made = run_program(
      {"quantize", folder.path(), folder / "a.gguf", "--type", "q8_0", "--synthetic-vocabulary"});
  ASSERT_EQ(made.exit_code, 0) << testing::PrintToString(made);
  const auto parts = io::GgufParts::open(folder / "a.gguf").value();
  EXPECT_EQ(parts.find_tensor("blk.0.attn_q.weight")->type->name, "Q8_0");
  EXPECT_EQ(parts.find_tensor("nextn.post_projection.weight")->type->name, "Q8_0");
  EXPECT_EQ(parts.find_tensor("masked_embd_centroids.weight")->type->name, "BF16");
  EXPECT_EQ(parts.find_tensor("masked_embd_ordering")->type->name, "I32");
  EXPECT_TRUE(model::open_drafter(folder / "a.gguf").ok());
}

TEST(Drafter, InfoShowsBothForms) {
  const DrafterFolder folder;
  ASSERT_EQ(convert(folder.path(), folder / "a.gguf").exit_code, 0);
  for (const std::string& path : {folder.path(), folder / "a.gguf"}) {
    const Outcome text = run_program({"info", path});
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr("drafter "), HasSubstr("of a model with"),
                                HasSubstr("hidden size 96"), HasSubstr("32 clusters of tokens")));
    const auto json = parse_json(run_program({"info", path, "--json"}).out);
    EXPECT_EQ(json["backbone_hidden_size"], 96);
    EXPECT_EQ(json["num_centroids"], 32);
    expect_failed(run_program({"info", path, "--ctx", "100"}), "is a drafter");
  }
}

TEST(Drafter, ModelCommandsSayWhatItIs) {
  const DrafterFolder folder;
  ASSERT_EQ(convert(folder.path(), folder / "a.gguf").exit_code, 0);
  for (const std::string& path : {folder.path(), folder / "a.gguf"})
    for (const char* command : {"run", "bench"}) {
      std::vector<std::string> arguments = {command, path, "-p", "5"};
      expect_failed(run_program(arguments), "this is a Gemma 4 drafter (gemma4");
    }
}

// The file again, its metadata and tensors changed.
struct Change {
  std::map<std::string, std::string> keys;     // renamed
  std::map<std::string, std::string> tensors;  // renamed; to nothing: left out
  std::function<void(const std::string& name, std::string& bytes)> edit;
};
void rewrite(const std::string& from, const std::string& to, const Change& change) {
  const auto parts = io::GgufParts::open(from).value();
  io::GgufHeader header;
  const auto renamed = [](const auto& names, std::string_view name) {
    const auto found = names.find(std::string(name));
    return found == names.end() ? std::string(name) : found->second;
  };
  for (const auto& [key, value] : parts.metadata().metadata()) {
    std::string name = renamed(change.keys, key);
    if (!name.empty()) header.add(name, value);
  }
  std::string data;
  for (const auto& [name, tensor] : parts.tensors()) {
    const std::string new_name = renamed(change.tensors, name);
    if (new_name.empty()) continue;
    const std::vector<int64_t> shape(tensor.dims.rbegin(), tensor.dims.rend());
    header.add_tensor(new_name, shape, *io::dtype_of(*tensor.type));
    std::string bytes(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    if (change.edit) change.edit(std::string(name), bytes);
    data += bytes;
  }
  fs::remove(to);
  auto writer = io::GgufWriter::create(to, header).value();
  ASSERT_TRUE(writer.write(std::as_bytes(std::span(data))).ok());
  ASSERT_TRUE(writer.commit().ok());
}

TEST(Drafter, ReadsTheOldDialect) {
  const DrafterFolder folder;
  ASSERT_EQ(convert(folder.path(), folder / "a.gguf").exit_code, 0);
  rewrite(folder / "a.gguf", folder / "old.gguf",
          {.keys = {{"gemma4-assistant.embedding_length_out", "gemma4-assistant.n_embd_backbone"},
                    {"gemma4-assistant.nextn_predict_layers", ""}},
           .tensors = {{"nextn.pre_projection.weight", "mtp.pre_projection.weight"},
                       {"nextn.post_projection.weight", "mtp.post_projection.weight"},
                       {"masked_embd_centroids.weight", "mtp.centroids.weight"},
                       {"masked_embd_ordering", "mtp.token_ordering.weight"}},
           .edit = {}});
  const auto found = model::open_drafter(folder / "old.gguf");
  ASSERT_TRUE(found.ok()) << found.error().message;
  expect_same(model::open_drafter(folder.path()).value(), found.value());
}

TEST(Drafter, NamesWhatIsWrong) {
  const DrafterFolder folder;
  ASSERT_EQ(convert(folder.path(), folder / "a.gguf").exit_code, 0);
  const auto error_with = [&](const Change& change) {
    rewrite(folder / "a.gguf", folder / "b.gguf", change);
    const auto drafter = model::open_drafter(folder / "b.gguf");
    if (drafter.ok()) return std::string("no error");
    EXPECT_THAT(drafter.error().message, HasSubstr("b.gguf: "));
    return drafter.error().message;
  };
  EXPECT_THAT(error_with({.keys = {}, .tensors = {{"blk.2.attn_q.weight", ""}}, .edit = {}}),
              HasSubstr("\"blk.2.attn_q.weight\" is missing"));
  EXPECT_THAT(error_with({.keys = {}, .tensors = {{"masked_embd_ordering", ""}}, .edit = {}}),
              HasSubstr("\"masked_embd_ordering\" is missing"));
  EXPECT_THAT(error_with({.keys = {}, .tensors = {{"blk.2.attn_q.weight", "blk.2.x"}}, .edit = {}}),
              HasSubstr("\"blk.2.attn_q.weight\" is missing"));
  EXPECT_THAT(
      error_with(
          {.keys = {{"gemma4-assistant.embedding_length_out", ""}}, .tensors = {}, .edit = {}}),
      HasSubstr("\"gemma4-assistant.embedding_length_out\" is missing"));
  EXPECT_THAT(error_with({.keys = {},
                          .tensors = {},
                          .edit =
                              [](const std::string& name, std::string& bytes) {
                                const int32_t id = kVocabulary;
                                if (name == "masked_embd_ordering")
                                  std::memcpy(bytes.data(), &id, sizeof id);
                              }}),
              HasSubstr("\"masked_embd_ordering\" holds 512, which is no token of the 512"));
}

TEST(Drafter, NamesWhatIsWrongInAConfiguration) {
  const auto error_with = [](const std::function<void(ordered_json&)>& change) {
    ordered_json json = small_config();
    change(json);
    const auto config = model::parse_drafter_config(json.dump());
    return config.ok() ? "no error" : config.error().message;
  };
  EXPECT_THAT(error_with([](auto& json) { json["model_type"] = "gemma4"; }),
              HasSubstr("this is a \"gemma4\" model, not a Gemma 4 drafter"));
  EXPECT_THAT(error_with([](auto& json) { json.erase("backbone_hidden_size"); }),
              HasSubstr("\"backbone_hidden_size\": is missing"));
  EXPECT_THAT(error_with([](auto& json) { json["num_centroids"] = 33; }),
              HasSubstr("\"num_centroids\": is 33, which does not divide"));
  EXPECT_THAT(error_with([](auto& json) { json["text_config"]["num_kv_shared_layers"] = 2; }),
              HasSubstr("a drafter shares those of all 4"));
  EXPECT_THAT(error_with([](auto& json) { json["text_config"]["use_double_wide_mlp"] = true; }),
              HasSubstr("no Gemma 4 drafter does"));
}

}  // namespace
}  // namespace gemma4
