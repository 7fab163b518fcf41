// config.json and generation_config.json: the published files, both dialects, and every way to be
// wrong.

#include "model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/strings.h"
#include "io/mapped_file.h"
#include "model/tensor_list.h"

namespace gemma4::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An object whose values are JSON text.
using Object = std::map<std::string, std::string>;

std::string to_json(const Object& object) {
  std::string json = "{";
  for (const auto& [key, value] : object)
    json += str_cat(json.size() > 1 ? "," : "", "\"", key, "\":", value);
  return json + "}";
}

Object small_text() {
  return {{"vocab_size", "100"},
          {"hidden_size", "24"},
          {"intermediate_size", "32"},
          {"num_hidden_layers", "4"},
          {"num_attention_heads", "4"},
          {"num_key_value_heads", "2"},
          {"head_dim", "8"},
          {"global_head_dim", "16"},
          {"sliding_window", "16"},
          {"hidden_size_per_layer_input", "0"},
          {"layer_types",
           R"(["sliding_attention","full_attention","sliding_attention","full_attention"])"}};
}

std::string config_with(const Object& changes) {
  Object text = small_text();
  for (const auto& [key, value] : changes)
    if (value == "-")
      text.erase(key);
    else
      text[key] = value;
  return to_json({{"model_type", "\"gemma4\""}, {"text_config", to_json(text)}});
}

TextConfig parsed(const Object& changes) {
  const auto config = parse_config(config_with(changes));
  EXPECT_TRUE(config.ok()) << config.error().message;
  return config.value().text;
}

std::string error_of(const std::string& json) {
  const auto config = parse_config(json);
  return config.ok() ? "no error" : config.error().message;
}
std::string error_with(const std::string& key, const std::string& value) {
  return error_of(config_with({{key, value}}));
}

Config published(const std::string& name) {
  const auto json = io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/spec/configs/" +
                                  name + ".json");
  EXPECT_TRUE(json.ok()) << json.error().message;
  auto config = parse_config(json.value());
  EXPECT_TRUE(config.ok()) << config.error().message;
  return std::move(config).value();
}

int64_t elements(const std::vector<TensorEntry>& tensors) {
  int64_t total = 0;
  for (const TensorEntry& tensor : tensors) {
    int64_t size = 1;
    for (const int64_t dim : tensor.shape) size *= dim;
    total += size;
  }
  return total;
}

struct Count {
  const char* name;
  double text, vision, audio;  // millions, spec/text-model.md section 7 (12B vision: shapes of
                               // spec/weights-and-gguf.md, 0.002 more than the rounded table)
  std::optional<int64_t> whole_file;
};

TEST(Config, PublishedFilesHaveTheirParameterCounts) {
  for (const Count& count :
       {Count{"e2b", 4628.569, 168.545, 307.184, {}}, Count{"e4b", 7463.013, 169.331, 308.757, {}},
        Count{"12b", 11907.350, 49.922, 2.458, {}}, Count{"26b-a4b", 25233.142, 572.794, 0, {}},
        Count{"31b", 30697.345, 575.744, 0, 31'273'088'876}}) {
    SCOPED_TRACE(count.name);
    Config config = published(count.name);
    TextWeights weights;
    const int64_t text = elements(text_tensors(config, "model.", weights));
    EXPECT_NEAR(static_cast<double>(text) * 1e-6, count.text, 0.0006);
    const int64_t towers = elements(tower_tensors(config));
    EXPECT_NEAR(static_cast<double>(towers) * 1e-6, count.vision + count.audio, 0.0011);
    if (count.whole_file) {
      EXPECT_EQ(text + towers, *count.whole_file);
      EXPECT_EQ(text_tensors(config, "", weights).size() + tower_tensors(config).size(), 1188u);
    }
    config.audio.reset();
    EXPECT_NEAR(static_cast<double>(elements(tower_tensors(config))) * 1e-6, count.vision, 0.0006);
  }
}

TEST(Config, PublishedFilesSayWhatTheFamilyIs) {
  for (const char* name : {"e2b", "e4b", "12b", "26b-a4b", "31b"}) {
    SCOPED_TRACE(name);
    const Config config = published(name);
    const TextConfig& text = config.text;
    const bool edge = name[0] == 'e';
    EXPECT_EQ(text.vocab_size, 262144);
    EXPECT_EQ(text.sliding_window, edge ? 512 : 1024);
    EXPECT_EQ(text.max_position_embeddings, edge ? 131072 : 262144);
    EXPECT_EQ(text.hidden_size_per_layer_input, edge ? 256 : 0);
    EXPECT_EQ(text.attention_k_eq_v, !edge);
    EXPECT_EQ(text.bidirectional_vision, !edge);
    EXPECT_EQ(text.final_logit_softcapping, 30.0f);
    EXPECT_EQ(text.rms_norm_eps, 1e-6f);
    EXPECT_EQ(text.enable_moe_block, std::string(name) == "26b-a4b");
    EXPECT_TRUE(text.tie_word_embeddings);
    EXPECT_FALSE(config.text_only);
    EXPECT_TRUE(config.vision.has_value());
    EXPECT_EQ(config.vision->unified, std::string(name) == "12b");
    EXPECT_FALSE(text.rope_parameters[0].proportional);
    EXPECT_EQ(text.rope_parameters[0].rope_theta, 10000);
    EXPECT_TRUE(text.rope_parameters[1].proportional);
    EXPECT_EQ(text.rope_parameters[1].rope_theta, 1e6);
    EXPECT_EQ(text.rope_parameters[1].partial_rotary_factor, 0.25);
    EXPECT_THAT(config.placeholder_token_ids, ::testing::IsSupersetOf({258880, 258884}));
    EXPECT_THAT(config.eos_token_ids, ::testing::Contains(1));
  }
}

TEST(Config, BothDialectsGiveTheSameShapes) {
  const std::string published_form = config_with({{"global_head_dim", "16"},
                                                  {"attention_k_eq_v", "true"},
                                                  {"num_global_key_value_heads", "1"}});
  const std::string resaved_form =
      config_with({{"global_head_dim", "-"},
                   {"attention_k_eq_v", "true"},
                   {"per_layer_config", R"({"1":{"head_dim":16,"num_key_value_heads":1},
                                            "3":{"head_dim":16,"num_key_value_heads":1}})"}});
  for (const std::string& json : {published_form, resaved_form}) {
    const auto config = parse_config(json);
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_THAT(config.value().text.layer_head_dims, ElementsAre(8, 16, 8, 16));
    EXPECT_THAT(config.value().text.layer_kv_heads, ElementsAre(2, 1, 2, 1));
  }
}

TEST(Config, DialectsDoNotMix) {
  // With per_layer_config the global keys mean nothing.
  EXPECT_THAT(parsed({{"global_head_dim", "64"}, {"per_layer_config", "{}"}}).layer_head_dims,
              ElementsAre(8, 8, 8, 8));
  // The global KV heads need attention_k_eq_v.
  EXPECT_THAT(parsed({{"num_global_key_value_heads", "1"}}).layer_kv_heads,
              ElementsAre(2, 2, 2, 2));
  // Absent and null are 512 and "as the others".
  EXPECT_THAT(parsed({{"global_head_dim", "-"},
                      {"num_global_key_value_heads", "null"},
                      {"attention_k_eq_v", "true"}})
                  .layer_head_dims,
              ElementsAre(8, 512, 8, 512));
}

TEST(Config, LayerTypesDefaultToEverySixthAndEndWithFull) {
  const TextConfig text = parsed({{"layer_types", "-"}, {"num_hidden_layers", "8"}});
  for (size_t i = 0; i < 8; ++i)
    EXPECT_EQ(text.layer_types[i] == AttentionKind::kFull, i == 5 || i == 7) << i;
  const TextConfig forced = parsed(
      {{"num_hidden_layers", "2"}, {"layer_types", R"(["full_attention","sliding_attention"])"}});
  EXPECT_EQ(forced.layer_types[1], AttentionKind::kFull);
}

TEST(Config, ATextOnlyCheckpointHasItsKeysAtTheTop) {
  Object text = small_text();
  text["model_type"] = "\"gemma4_text\"";
  text["eos_token_id"] = "[1, 50]";
  const auto config = parse_config(to_json(text));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_TRUE(config.value().text_only);
  EXPECT_THAT(config.value().eos_token_ids, ElementsAre(1, 50));
  EXPECT_EQ(default_text_prefix(config.value()), "model.");
  text["eos_token_id"] = R"([1, "x"])";
  EXPECT_THAT(error_of(to_json(text)), HasSubstr("\"eos_token_id\""));
}

TEST(Config, AMissingRequiredKeyIsNamed) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "num_key_value_heads", "head_dim"}) {
    EXPECT_THAT(error_with(key, "-"), HasSubstr(str_cat("\"text_config.", key, "\": is missing")));
    EXPECT_THAT(error_with(key, "null"), HasSubstr(str_cat("\"text_config.", key, "\"")));
  }
  for (const char* key : {"num_experts", "top_k_experts", "moe_intermediate_size"}) {
    Object experts = {{"enable_moe_block", "true"},
                      {"num_experts", "4"},
                      {"top_k_experts", "2"},
                      {"moe_intermediate_size", "8"}};
    EXPECT_EQ(error_of(config_with(experts)), "no error");
    experts.erase(key);
    EXPECT_THAT(error_of(config_with(experts)), HasSubstr(str_cat(key, "\": is missing")));
  }
  EXPECT_THAT(error_of(R"({"model_type":"gemma4"})"), HasSubstr("\"text_config\": is missing"));
}

TEST(Config, AWrongTypeOrAnImpossibleValueIsNamed) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "global_head_dim",
        "num_global_key_value_heads", "sliding_window", "max_position_embeddings",
        "num_kv_shared_layers", "hidden_size_per_layer_input", "vocab_size_per_layer_input",
        "pad_token_id", "bos_token_id"})
    for (const char* value : {"\"8\"", "2.5", "[]", "{}", "-1", "9223372036854775807", "1e300",
                              "18446744073709551615", "true"})
      EXPECT_THAT(error_with(key, value), HasSubstr(str_cat("\"text_config.", key, "\": ")))
          << value;
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "head_dim",
                          "num_key_value_heads", "sliding_window"})
    EXPECT_THAT(error_with(key, "0"), HasSubstr(str_cat("\"text_config.", key, "\": is 0")));
  for (const char* key : {"attention_k_eq_v", "use_double_wide_mlp", "enable_moe_block",
                          "tie_word_embeddings", "attention_bias"})
    for (const char* value : {"1", "\"true\"", "[]"})
      EXPECT_THAT(error_with(key, value), HasSubstr(str_cat("text_config.", key))) << value;
  for (const char* key : {"rms_norm_eps", "final_logit_softcapping"})
    for (const char* value : {"\"1\"", "-1", "1e300", "[]"})
      EXPECT_THAT(error_with(key, value), HasSubstr(str_cat("text_config.", key))) << value;
  for (const char* key : {"layer_types", "rope_parameters", "per_layer_config"})
    for (const char* value : {"7", "\"sliding_attention\"", "true"})
      EXPECT_THAT(error_with(key, value), HasSubstr(str_cat("text_config.", key))) << value;
  EXPECT_THAT(error_with("layer_types", "{}"), HasSubstr("text_config.layer_types"));
  EXPECT_THAT(error_with("rope_parameters", "[]"), HasSubstr("text_config.rope_parameters"));
}

TEST(Config, ValuesThatContradictEachOtherAreNamed) {
  EXPECT_THAT(error_with("layer_types", "[\"full_attention\"]"), HasSubstr("has 1 entries for 4"));
  EXPECT_THAT(error_with("layer_types", "[\"full\",\"full\",\"full\",\"full\"]"),
              HasSubstr("layer_types"));
  EXPECT_THAT(error_with("num_attention_heads", "3"), HasSubstr("not a multiple of the 2 KV"));
  EXPECT_THAT(error_with("head_dim", "7"), HasSubstr("odd"));
  EXPECT_THAT(error_with("num_kv_shared_layers", "3"), HasSubstr("no layer of its type before"));
  EXPECT_THAT(error_with("num_kv_shared_layers", "4"), HasSubstr("num_kv_shared_layers"));
  EXPECT_EQ(error_with("num_kv_shared_layers", "2"), "no error");
  EXPECT_THAT(error_of(config_with({{"enable_moe_block", "true"},
                                    {"num_experts", "4"},
                                    {"top_k_experts", "5"},
                                    {"moe_intermediate_size", "8"}})),
              HasSubstr("top_k_experts"));
  EXPECT_THAT(error_of(config_with(
                  {{"hidden_size_per_layer_input", "8"}, {"vocab_size_per_layer_input", "99"}})),
              HasSubstr("less than vocab_size 100"));
  for (const char* entry : {"\"4\":{}", "\"-1\":{}", "\"x\":{}", "\"\":{}", "\"1\":7"})
    EXPECT_THAT(error_with("per_layer_config", str_cat("{", entry, "}")),
                HasSubstr("per_layer_config"));
  EXPECT_THAT(error_with("per_layer_config", R"({"0":{"head_dim":32}})"),
              HasSubstr("another head_dim"));
  EXPECT_THAT(error_with("per_layer_config", R"({"0":{"head_dim":"8"}})"),
              HasSubstr("per_layer_config.0.head_dim"));
}

TEST(Config, WhatThisProgramDoesNotDoIsSaid) {
  EXPECT_THAT(error_with("hidden_activation", "\"relu\""), HasSubstr("relu"));
  EXPECT_THAT(error_with("use_bidirectional_attention", "\"all\""), HasSubstr("\"all\""));
  EXPECT_THAT(error_with("attention_bias", "true"), HasSubstr("attention_bias"));
  EXPECT_THAT(error_with("rope_parameters", R"({"full_attention":{"rope_type":"yarn"}})"),
              HasSubstr("\"yarn\" is not a rotary embedding of Gemma 4"));
  EXPECT_THAT(
      error_with("rope_parameters", R"({"sliding_attention":{"partial_rotary_factor":0.5}})"),
      HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(error_with("rope_parameters", R"({"sliding_attention":{"rope_theta":"x"}})"),
              HasSubstr("text_config.rope_parameters.sliding_attention.rope_theta"));
}

TEST(Config, OtherModelsAreNamed) {
  EXPECT_THAT(error_of(R"({"model_type":"llama"})"), HasSubstr("this is a \"llama\" model"));
  EXPECT_THAT(error_of(R"({"model_type":"gemma3"})"), HasSubstr("\"gemma3\" model, not a Gemma 4"));
  EXPECT_THAT(error_of(R"({"model_type":"gemma4_assistant"})"), HasSubstr("drafter"));
  EXPECT_THAT(error_of("{}"), HasSubstr("\"model_type\": is missing"));
  EXPECT_THAT(error_of(R"({"model_type":3})"), HasSubstr("model_type"));
  for (const char* text : {"", "[]", "3", "{", "{\"a\":}", "\xff\xfe", "null"})
    EXPECT_THAT(error_of(text), HasSubstr("is not a JSON object")) << text;
  EXPECT_EQ(parse_config(R"({"model_type":"llama"})").error().code, ErrorCode::kUnsupported);
}

TEST(Config, TowersAreOptionalButNotArbitrary) {
  const auto with = [](const char* key, const char* value) {
    return to_json(
        {{"model_type", "\"gemma4\""}, {"text_config", to_json(small_text())}, {key, value}});
  };
  for (const char* key : {"vision_config", "audio_config"}) {
    const auto config = parse_config(with(key, "null"));
    ASSERT_TRUE(config.ok());
    EXPECT_FALSE(config.value().vision || config.value().audio);
    EXPECT_THAT(error_of(with(key, "{}")), HasSubstr(str_cat(key, ".hidden_size\": is missing")));
    EXPECT_THAT(error_of(with(key, "3")), HasSubstr(key));
    EXPECT_THAT(error_of(with(key, R"({"hidden_size":-4})")), HasSubstr("is -4"));
  }
  EXPECT_THAT(
      error_of(with("audio_config",
                    R"({"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":3})")),
      HasSubstr("audio_config.num_attention_heads\": is 3, which does not divide hidden_size 4"));
  EXPECT_THAT(error_of(with("image_token_id", "\"x\"")), HasSubstr("image_token_id"));
  EXPECT_THAT(error_of(with("eos_token_id", "[1,-2]")), HasSubstr("eos_token_id"));
}

TEST(GenerationConfig, PublishedDefaults) {
  const auto json =
      io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/spec/configs/generation.json");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(GenerationDefaults().temperature, 1.0f);
  EXPECT_EQ(GenerationDefaults().top_k, 64);
  EXPECT_EQ(GenerationDefaults().top_p, 0.95f);
}

TEST(GenerationConfig, ReadsWhatIsThereAndKeepsTheRest) {
  const auto full = parse_generation_config(
      R"({"do_sample":true,"temperature":0.7,"top_k":5,"top_p":0.5,"eos_token_id":[1,106,50],
          "suppress_tokens":[258883,258882]})");
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full.value().temperature, 0.7f);
  EXPECT_EQ(full.value().top_k, 5);
  EXPECT_EQ(full.value().top_p, 0.5f);
  EXPECT_THAT(full.value().eos_token_ids, ElementsAre(1, 106, 50));
  EXPECT_THAT(full.value().suppress_tokens, ElementsAre(258883, 258882));
  const auto single = parse_generation_config(R"({"eos_token_id":1,"do_sample":true})");
  EXPECT_THAT(single.value().eos_token_ids, ElementsAre(1));
  EXPECT_EQ(single.value().top_k, 64);
  EXPECT_EQ(parse_generation_config("{}").value().temperature, 0);  // not sampling is greedy
}

TEST(GenerationConfig, WrongValuesAreNamed) {
  for (const auto& [key, value] : Object{{"temperature", "-1"},
                                         {"top_k", "1.5"},
                                         {"top_p", "2"},
                                         {"do_sample", "1"},
                                         {"eos_token_id", "\"x\""},
                                         {"suppress_tokens", "{}"}}) {
    const auto config = parse_generation_config(to_json({{key, value}}));
    ASSERT_FALSE(config.ok()) << key;
    EXPECT_THAT(config.error().message, HasSubstr(key));
  }
  EXPECT_FALSE(parse_generation_config("").ok());
}

}  // namespace
}  // namespace gemma4::model
