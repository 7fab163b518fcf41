// Projector files as a user meets them: written beside a model, found there, read back.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "io/gguf_parts.h"
#include "model/model.h"
#include "model/projector_file.h"
#include "model/tensor_list.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Outcome convert(const std::string& model, const std::string& out,
                const std::vector<std::string>& options = {}) {
  return run_program(std::vector<std::string>{"convert", model, out, "--synthetic-vocabulary"} +
                     options);
}

void expect_converted(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_EQ(outcome.err, "");
}

void expect_same_towers(const model::Config& config, const io::TensorStore& expected,
                        const io::TensorStore& found) {
  const auto tensors = model::tower_tensors(config);
  EXPECT_FALSE(tensors.empty());
  for (const auto& entry : tensors) {
    const io::Tensor* a = expected.find(entry.name);
    const io::Tensor* b = found.find(entry.name);
    ASSERT_NE(a, nullptr) << entry.name;
    ASSERT_NE(b, nullptr) << entry.name;
    EXPECT_EQ(a->shape, b->shape) << entry.name;
    // Of random weights no two are the same: equal values are the same ones at the same place.
    EXPECT_EQ(io::read_floats(*a).value(), io::read_floats(*b).value()) << entry.name;
  }
}

void expect_same_configuration(const model::Config& a, const model::Config& b) {
  ASSERT_EQ(a.vision.has_value(), b.vision.has_value());
  ASSERT_EQ(a.audio.has_value(), b.audio.has_value());
  EXPECT_EQ(a.model_type, b.model_type);
  if (a.vision) {
    EXPECT_EQ(a.vision->unified, b.vision->unified);
    EXPECT_EQ(a.vision->hidden_size, b.vision->hidden_size);
    EXPECT_EQ(a.vision->intermediate_size, b.vision->intermediate_size);
    EXPECT_EQ(a.vision->num_hidden_layers, b.vision->num_hidden_layers);
    EXPECT_EQ(a.vision->num_attention_heads, b.vision->num_attention_heads);
    EXPECT_EQ(a.vision->head_dim, b.vision->head_dim);
    EXPECT_EQ(a.vision->patch_size, b.vision->patch_size);
    EXPECT_EQ(a.vision->pooling_kernel_size, b.vision->pooling_kernel_size);
    EXPECT_EQ(a.vision->position_embedding_size, b.vision->position_embedding_size);
    EXPECT_EQ(a.vision->standardize, b.vision->standardize);
    EXPECT_EQ(a.vision->use_clipped_linears, b.vision->use_clipped_linears);
    EXPECT_EQ(a.vision->mm_embed_dim, b.vision->mm_embed_dim);
    EXPECT_EQ(a.vision->mm_posemb_size, b.vision->mm_posemb_size);
  }
  if (a.audio) {
    EXPECT_EQ(a.audio->unified, b.audio->unified);
    EXPECT_EQ(a.audio->hidden_size, b.audio->hidden_size);
    EXPECT_EQ(a.audio->num_hidden_layers, b.audio->num_hidden_layers);
    EXPECT_EQ(a.audio->num_attention_heads, b.audio->num_attention_heads);
    EXPECT_EQ(a.audio->conv_kernel_size, b.audio->conv_kernel_size);
    EXPECT_EQ(a.audio->subsampling_conv_channels, b.audio->subsampling_conv_channels);
    EXPECT_EQ(a.audio->output_proj_dims, b.audio->output_proj_dims);
    EXPECT_EQ(a.audio->use_clipped_linears, b.audio->use_clipped_linears);
    EXPECT_EQ(a.audio->audio_embed_dim, b.audio->audio_embed_dim);
  }
}

class ProjectorTest : public testing::TestWithParam<const char*> {
 protected:
  std::string golden() const { return kGoldens + "/" + GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Tiny, ProjectorTest,
                         testing::Values("tiny-e", "tiny-12b", "tiny-26b", "tiny-31b"),
                         [](const auto& test) {
                           return std::string(test.param).replace(4, 1, "_");
                         });

TEST_P(ProjectorTest, GivesBackTheTowersOfTheFolder) {
  const TemporaryFolder folder;
  for (const char* type : {"", "f32"}) {
    const std::string path = folder / (std::string("model") + type + ".gguf");
    expect_converted(convert(golden(), path,
                             *type == '\0' ? std::vector<std::string>{}
                                           : std::vector<std::string>{"--mmproj-type", type}));
    const auto expected = model::Model::load(golden());
    const auto found = model::Model::load(path);
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(found.value().projector().path,
              folder / (std::string("mmproj-model") + type + ".gguf"));
    expect_same_configuration(expected.value().config(), found.value().config());
    expect_same_towers(expected.value().config(), expected.value().store(), found.value().store());
  }
}

TEST_P(ProjectorTest, AgainGivesTheSameBytes) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "a");
  fs::create_directory(folder / "b");
  for (const char* name : {"a", "b"})
    expect_converted(convert(golden(), folder / name + "/model.gguf"));
  EXPECT_EQ(read_whole(folder / "a/mmproj-model.gguf"), read_whole(folder / "b/mmproj-model.gguf"));
}

TEST_P(ProjectorTest, VerifiesWithIt) {
  const TemporaryFolder folder;
  expect_converted(convert(golden(), folder / "model.gguf"));
  const Outcome verified = run_program({"verify", folder / "model.gguf", "--golden",
                                        golden() + "/golden.safetensors", "--keys", "text.*"});
  EXPECT_EQ(verified.exit_code, 0) << testing::PrintToString(verified);
}

std::string type_of(const io::GgufParts& parts, const char* name) {
  const io::GgufTensor* tensor = parts.find_tensor(name);
  return tensor == nullptr ? "missing" : std::string(tensor->type->name);
}

// As other engines' converter: they have no convolutions in BF16, and positions are in F32.
TEST(Projector, TypesAreThoseOtherEnginesExpect) {
  const TemporaryFolder folder;
  const auto types = [&](const std::string& name, const std::vector<std::string>& options) {
    expect_converted(convert(kGoldens + "/tiny-e", folder / (name + ".gguf"), options));
    const auto parts = io::GgufParts::open(folder / ("mmproj-" + name + ".gguf")).value();
    EXPECT_EQ(type_of(parts, "v.position_embd.weight"), "F32");
    EXPECT_EQ(type_of(parts, "v.blk.1.attn_q.input_min"), "F32");
    EXPECT_EQ(type_of(parts, "a.conv1d.0.weight"), "F32");
    EXPECT_EQ(type_of(parts, "a.input_projection.weight"), "F32");
    EXPECT_EQ(type_of(parts, "a.blk.0.conv_dw.weight"), "F32");
    EXPECT_EQ(type_of(parts, "a.blk.0.per_dim_scale.weight"), "F32");
    EXPECT_EQ(parts.find_tensor("a.blk.0.conv_dw.weight")->dims, (std::vector<int64_t>{5, 64}));
    EXPECT_EQ(parts.find_tensor("v.patch_embd.weight")->dims,
              (std::vector<int64_t>{16, 16, 3, 64}));
    EXPECT_EQ(parts.find_tensor("v.blk.1.attn_q.input_min")->dims, (std::vector<int64_t>{1}));
    return type_of(parts, "v.patch_embd.weight") + " " + type_of(parts, "v.blk.0.ffn_up.weight") +
           " " + type_of(parts, "a.pre_encode.out.weight");
  };
  EXPECT_EQ(types("stored", {}), "F32 BF16 BF16");
  EXPECT_EQ(types("f16", {"--mmproj-type", "f16"}), "F16 F16 F16");
  EXPECT_EQ(types("bf16", {"--mmproj-type", "bf16"}), "F32 BF16 BF16");
  EXPECT_EQ(types("f32", {"--mmproj-type", "f32"}), "F32 F32 F32");
}

// The two norms whose names are crossed, and the one that is stored as its softplus.
TEST(Projector, CrossedNamesAndSoftplus) {
  const TemporaryFolder folder;
  expect_converted(convert(kGoldens + "/tiny-e", folder / "model.gguf"));
  const auto parts = io::GgufParts::open(folder / "mmproj-model.gguf").value();
  const auto store = io::TensorStore::open(kGoldens + "/tiny-e").value();
  const auto stored = [&](const char* name) {
    return io::read_floats(*store.find(std::string("model.audio_tower.layers.1.") + name)).value();
  };
  const auto written = [&](const char* name) {
    const io::GgufTensor& tensor = *parts.find_tensor(std::string("a.blk.1.") + name);
    return io::read_floats({DType::kF32, {tensor.num_elements}, tensor.bytes}).value();
  };
  EXPECT_EQ(written("conv_norm.weight"), stored("lconv1d.pre_layer_norm.weight"));
  EXPECT_EQ(written("norm_conv.weight"), stored("lconv1d.conv_norm.weight"));
  EXPECT_EQ(written("attn_pre_norm.weight"), stored("norm_pre_attn.weight"));
  EXPECT_EQ(written("ln2.weight"), stored("norm_out.weight"));
  const auto scale = stored("self_attn.per_dim_scale");
  const auto soft = written("per_dim_scale.weight");
  ASSERT_EQ(scale.size(), soft.size());
  for (size_t i = 0; i < scale.size(); ++i)
    EXPECT_FLOAT_EQ(soft[i], std::log1p(std::exp(scale[i]))) << i;
}

TEST(Projector, CanBeLeftOut) {
  const TemporaryFolder folder;
  expect_converted(convert(kGoldens + "/tiny-e", folder / "a.gguf", {"--no-mmproj"}));
  EXPECT_THAT(folder.files(), ElementsAre("a.gguf"));
  EXPECT_FALSE(model::Model::load(folder / "a.gguf").value().config().vision);
  expect_bad_usage(
      convert(kGoldens + "/tiny-e", folder / "b.gguf", {"--no-mmproj", "--mmproj-type", "f16"}),
      "excludes");
}

TEST(Projector, AModelWithoutTowersGetsNone) {
  const TemporaryFolder folder;
  expect_converted(run_program({"convert", kDemo, folder / "a.gguf"}));
  EXPECT_THAT(folder.files(), ElementsAre("a.gguf"));
}

TEST(Projector, NothingIsLeftWhenSomethingIsWrong) {
  const TemporaryFolder folder;
  const std::string golden = kGoldens + "/tiny-e";
  expect_failed(convert(golden, folder / "a.gguf", {"--mmproj-type", "q8_0"}),
                "--mmproj-type: \"q8_0\" is none of f32, f16, bf16");
  EXPECT_THAT(folder.files(), IsEmpty());
  write_whole(folder / "mmproj-a.gguf", "mine");
  expect_failed(convert(golden, folder / "a.gguf"), "mmproj-a.gguf: exists already");
  EXPECT_EQ(read_whole(folder / "mmproj-a.gguf"), "mine");
  fs::remove(folder / "mmproj-a.gguf");
  // The projector has 1.1 MB and fits, the model does not.
  expect_failed(run_program({"convert", golden, folder / "a.gguf", "--synthetic-vocabulary"}, "",
                            {.file_size_limit = 1500000}),
                "cannot write");
  EXPECT_THAT(folder.files(), IsEmpty());
}

// A golden whose tensors have other names.
void copy_renamed(const std::string& golden, const std::string& folder,
                  const std::map<std::string, std::string>& names) {
  fs::create_directory(folder);
  fs::copy_file(kGoldens + "/" + golden + "/config.json", folder + "/config.json");
  const std::string file = read_whole(kGoldens + "/" + golden + "/model.safetensors");
  uint64_t size = 0;
  std::memcpy(&size, file.data(), sizeof size);
  auto header = parse_json(file.substr(sizeof size, size));
  for (const auto& [from, to] : names) {
    ASSERT_TRUE(header.contains(from)) << from;
    header[to] = header[from];
    header.erase(from);
  }
  const std::string text = header.dump();
  const uint64_t new_size = text.size();
  write_whole(folder + "/model.safetensors",
              std::string(reinterpret_cast<const char*>(&new_size), sizeof new_size) + text +
                  file.substr(sizeof size + size));
}

TEST(Projector, ReadsTheNamesOfNewerSaves) {
  const TemporaryFolder folder;
  std::map<std::string, std::string> names = {
      {"model.embed_vision.embedding_projection.weight",
       "model.embed_vision.multimodal_embedder.embedding_projection.weight"},
      {"model.vision_embedder.pos_embedding", "model.embed_vision.pos_embedding"}};
  for (const char* part : {"patch_ln1", "patch_dense", "patch_ln2", "pos_norm"})
    for (const char* leaf : {".weight", ".bias"})
      names[std::string("model.vision_embedder.") + part + leaf] =
          std::string("model.embed_vision.") + part + leaf;
  copy_renamed("tiny-12b", folder / "newer", names);
  expect_converted(convert(folder / "newer", folder / "a.gguf"));
  const auto expected = model::Model::load(kGoldens + "/tiny-12b").value();
  expect_same_towers(expected.config(), expected.store(),
                     model::Model::load(folder / "newer").value().store());
  expect_same_towers(expected.config(), expected.store(),
                     model::Model::load(folder / "a.gguf").value().store());
}

TEST(Projector, NamesTowersThatAFolderLacks) {
  const TemporaryFolder folder;
  copy_renamed("tiny-31b", folder / "a", {{"model.vision_tower.std_bias", "model.other"}});
  expect_failed(convert(folder / "a", folder / "a.gguf"),
                "tensor \"model.vision_tower.std_bias\" is missing; leave the vision and audio "
                "towers out with --no-mmproj");
  EXPECT_FALSE(fs::exists(folder / "a.gguf"));
  expect_converted(convert(folder / "a", folder / "a.gguf", {"--no-mmproj"}));
}

class FindProjector : public testing::Test {
 protected:
  FindProjector() {
    expect_converted(convert(kGoldens + "/tiny-e", model(), {"--no-mmproj"}));
    // A projector for another text model.
    expect_converted(convert(kGoldens + "/tiny-26b", folder_ / "other.gguf"));
    fs::rename(folder_ / "mmproj-other.gguf", folder_ / "other-part");
    fs::remove(folder_ / "other.gguf");
    expect_converted(convert(kGoldens + "/tiny-e", folder_ / "twin.gguf"));
    fs::rename(folder_ / "mmproj-twin.gguf", folder_ / "part");
    fs::remove(folder_ / "twin.gguf");
  }
  std::string model() const { return folder_ / "model.gguf"; }
  void place(const std::string& part, const std::string& name) const {
    fs::copy_file(folder_ / part, folder_ / name);
  }
  Outcome info(const std::vector<std::string>& options = {}) const {
    return run_program(std::vector<std::string>{"info", model()} + options);
  }
  const TemporaryFolder folder_;
};

TEST_F(FindProjector, TheOnlyOneThatFits) {
  EXPECT_THAT(info().out, Not(HasSubstr("projector")));
  place("part", "tiny.mmproj-F16.gguf");
  place("other-part", "mmproj-of-another.gguf");
  const Outcome found = info();
  EXPECT_EQ(found.err, "");
  EXPECT_THAT(found.out, AllOf(HasSubstr("tiny.mmproj-F16.gguf"), HasSubstr("vision  "),
                               HasSubstr("audio  ")));
  EXPECT_THAT(info({"--mmproj", "none"}).out, Not(HasSubstr("vision")));
}

TEST_F(FindProjector, SeveralAreAnErrorUnlessOneHasTheModelsName) {
  place("part", "mmproj-F16.gguf");
  place("part", "mmproj-BF16.gguf");
  expect_failed(info(), "several projectors fit: " + (folder_ / "mmproj-BF16.gguf") + ", " +
                            (folder_ / "mmproj-F16.gguf") +
                            "; choose one with --mmproj FILE, or --mmproj none");
  EXPECT_THAT(info({"--mmproj", folder_ / "mmproj-F16.gguf"}).out, HasSubstr("mmproj-F16.gguf"));
  place("part", "mmproj-model.gguf");
  EXPECT_THAT(info().out, HasSubstr("mmproj-model.gguf"));
}

TEST_F(FindProjector, AnotherModelsIsNotedOrRefused) {
  place("other-part", "mmproj-of-another.gguf");
  const Outcome found = info();
  EXPECT_EQ(found.exit_code, 0);
  EXPECT_THAT(found.err, AllOf(HasSubstr("note: "), HasSubstr("mmproj-of-another.gguf: belongs to"),
                               HasSubstr("have 128 elements, the model's 96")));
  expect_failed(info({"--mmproj", folder_ / "mmproj-of-another.gguf"}),
                "mmproj-of-another.gguf: belongs to another model than");
}

TEST_F(FindProjector, WhatIsNoProjectorIsNotedOrRefused) {
  write_whole(folder_ / "mmproj.gguf", "GGUF?");
  const Outcome found = info();
  EXPECT_EQ(found.exit_code, 0);
  EXPECT_THAT(found.err, AllOf(HasSubstr("note: "), HasSubstr("mmproj.gguf: ")));
  expect_failed(info({"--mmproj", folder_ / "mmproj.gguf"}), "mmproj.gguf: ");
  expect_failed(info({"--mmproj", folder_ / "missing.gguf"}), "missing.gguf");
  expect_failed(info({"--mmproj", model()}), "this is a \"gemma4\" model, not a projector");
  expect_failed(run_program({"info", kDemo, "--mmproj", folder_ / "part"}),
                "has its towers inside");
  expect_failed(run_program({"run", folder_ / "mmproj.gguf", "-p", "x"}), "mmproj.gguf: ");
}

TEST_F(FindProjector, ADamagedOneThatFitsIsAnError) {
  std::string bytes = read_whole(folder_ / "part");
  const std::string name = "v.blk.1.ffn_up.weight";
  bytes[bytes.find(name) + name.size() - 1] = '_';
  write_whole(folder_ / "mmproj.gguf", bytes);
  expect_failed(info(), "\"v.blk.1.ffn_up.weight\" is missing; replace it, or leave it out with");
  EXPECT_EQ(info({"--mmproj", "none"}).exit_code, 0);
}

TEST_F(FindProjector, InfoShowsAProjectorAlone) {
  place("part", "mmproj-a.gguf");
  const Outcome text = run_program({"info", folder_ / "mmproj-a.gguf"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("projector "), HasSubstr("hidden size 96"),
                              HasSubstr("2 layers, 64 wide, 2 heads; patches of 16 pixels"),
                              HasSubstr("clipped")));
  const auto json = parse_json(run_program({"info", folder_ / "mmproj-a.gguf", "--json"}).out);
  EXPECT_EQ(json["projection_dim"], 96);
  EXPECT_EQ(json["vision"]["num_hidden_layers"], 2);
  EXPECT_EQ(json["audio"]["output_proj_dims"], 80);
  expect_failed(run_program({"run", folder_ / "mmproj-a.gguf", "-p", "x"}), "this is a projector");
}

TEST(Projector, SynthWritesItToo) {
  const TemporaryFolder folder;
  const std::string config = kGoldens + "/tiny-e/config.json";
  ASSERT_EQ(run_program({"synth", config, folder / "a"}).exit_code, 0);
  ASSERT_EQ(run_program({"synth", config, folder / "b.gguf"}).exit_code, 0);
  EXPECT_THAT(folder.files(), testing::IsSupersetOf({"a", "b.gguf", "mmproj-b.gguf"}));
  const auto a = model::Model::load(folder / "a").value();
  const auto b = model::Model::load(folder / "b.gguf").value();
  expect_same_towers(a.config(), a.store(), b.store());
}

}  // namespace
}  // namespace gemma4
