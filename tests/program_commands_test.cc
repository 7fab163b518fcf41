// The commands that do not answer: synth, verify, info, bench, tokenize.

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "io/safetensors.h"
#include "model/formula_weights.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using nlohmann::ordered_json;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

ordered_json odd_config() {
  ordered_json config = parse_json(read_whole(kGoldens + "/tiny-31b/config.json"));
  config["vision_config"] = nullptr;
  auto& text = config["text_config"];
  text["hidden_size"] = 52;
  text["intermediate_size"] = 76;
  text["num_attention_heads"] = 3;
  text["num_key_value_heads"] = 1;
  text["head_dim"] = 20;
  text["sliding_window"] = 7;
  text["vocab_size"] = 521;
  text["vocab_size_per_layer_input"] = 521;
  text["num_hidden_layers"] = 3;
  text["layer_types"] = {"sliding_attention", "sliding_attention", "full_attention"};
  text["per_layer_config"] = {{"2", {{"head_dim", 36}, {"num_key_value_heads", 1}}}};
  return config;
}

TEST(Synth, OddConfigurationLoadsAndFollowsTheFormula) {
  TemporaryFolder folder;
  write_whole(folder / "odd.json", odd_config().dump());
  const Outcome made = run_program({"synth", folder / "odd.json", folder / "odd"});
  ASSERT_EQ(made.exit_code, 0) << testing::PrintToString(made);
  EXPECT_THAT(made.out, StartsWith(folder / "odd" + ": "));
  EXPECT_EQ(read_whole(folder / "odd/config.json"), odd_config().dump());

  const Outcome info = run_program({"info", folder / "odd", "--json"});
  ASSERT_EQ(info.exit_code, 0) << testing::PrintToString(info);
  EXPECT_EQ(parse_json(info.out)["vocab_size"], 521);
  EXPECT_EQ(run_program({"bench", folder / "odd", "-p", "5", "-n", "2", "-r", "1"}).exit_code, 0);

  const auto store = io::TensorStore::open(folder / "odd");
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_GT(store.value().tensors().size(), 20U);
  for (const auto& [name, tensor] : store.value().tensors()) {
    ASSERT_EQ(tensor.dtype, DType::kBF16) << name;
    const auto count = static_cast<uint64_t>(tensor.size());
    for (const uint64_t index : {uint64_t{0}, count / 3, count - 1}) {
      uint16_t expected = 0;
      uint16_t found = 0;
      model::formula_bf16(name, tensor.shape, index, std::span(&expected, 1));
      std::memcpy(&found, tensor.bytes.data() + 2 * index, 2);
      EXPECT_EQ(found, expected) << name << " element " << index;
    }
  }
}

TEST(Synth, FullDiskLeavesNothingBehind) {
  const TemporaryFolder folder;
  const Outcome outcome = run_program({"synth", kGoldens + "/tiny-e/config.json", folder / "out"},
                                      "", {.file_size_limit = 100000});
  expect_failed(outcome, "nothing was written");
  EXPECT_THAT(outcome.err, HasSubstr("File too large"));
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(Synth, InterruptLeavesNothingBehind) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TemporaryFolder folder;
    const TemporaryFolder out;
    ordered_json config = odd_config();
    config["text_config"]["vocab_size"] = 16000000;  // 1.7 GB, never written to the end
    config["text_config"]["vocab_size_per_layer_input"] = 16000000;
    write_whole(folder / "config.json", config.dump());
    Process process({"synth", folder / "config.json", out / "x"});
    const auto deadline = Clock::now() + std::chrono::seconds(10);
    while (out.files().size() < 2 && Clock::now() < deadline)
      std::this_thread::sleep_for(milliseconds(5));
    process.send(signal);
    expect_failed(process.wait(), "interrupted; nothing was written");
    EXPECT_THAT(out.files(), IsEmpty());
  }
}

TEST(Synth, NeverOverwritesAndNeedsTheParentFolder) {
  const TemporaryFolder folder;
  const std::string config = kGoldens + "/tiny-31b/config.json";
  write_whole(folder / "taken", "precious");
  expect_failed(run_program({"synth", config, folder / "taken"}), "exists already");
  EXPECT_EQ(read_whole(folder / "taken"), "precious");
  expect_failed(run_program({"synth", config, folder / "a/b"}), "create it first");
  expect_failed(run_program({"synth", folder / "no.json", folder / "x"}), "no.json: ");
}

TEST(Verify, AgreesOnEveryTextKey) {
  const Outcome outcome = run_program({"verify", kGoldens + "/tiny-e", "--keys", "text.*"});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, HasSubstr("15 of 15 keys agree with the reference"));
}

TEST(Verify, AgreesOnPicturesAndSounds) {
  for (const std::string model : {"tiny-e", "tiny-12b"}) {
    const Outcome outcome = run_program({"verify", kGoldens + "/" + model});
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("image.soft0"), HasSubstr("audio.logits")));
  }
}

TEST(Verify, InputsAreLookedForWhereTheOptionSays) {
  TemporaryFolder folder;
  std::filesystem::copy_file(kGoldens + "/tiny-e/golden.safetensors",
                             folder / "golden.safetensors");
  const auto verify = [&](const std::string& inputs) {
    return run_program({"verify", kGoldens + "/tiny-e", "--golden", folder / "golden.safetensors",
                        "--keys", "image.soft0", "--inputs", inputs});
  };
  const Outcome outcome = verify(kGoldens);
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(verify(folder / "no").out, HasSubstr("not computed: "));
}

TEST(Verify, KeyThatCannotBeComputedIsAFailure) {
  const Outcome outcome =
      run_program({"verify", kGoldens + "/tiny-31b", "--golden",
                   kGoldens + "/tiny-e/golden.safetensors", "--keys", "audio.*"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("not computed: "));
  EXPECT_THAT(outcome.err, HasSubstr("does not agree"));
  expect_failed(run_program({"verify", kGoldens + "/tiny-e", "--keys", "no.*"}), "no key matches");
}

TEST(Verify, ChangedWeightIsNoticed) {
  Checkpoint checkpoint;
  const auto begin = checkpoint.header[kTensor]["data_offsets"][0].get<size_t>();
  for (size_t i = 0; i < 2000; ++i) checkpoint.data[begin + 2 * i + 1] ^= '\x80';  // the sign
  checkpoint.write_weights();
  const Outcome outcome =
      run_program({"verify", checkpoint.path(), "--golden",
                   kGoldens + "/tiny-31b/golden.safetensors", "--keys", "text.*", "--json"});
  EXPECT_EQ(outcome.exit_code, 1);
  int passed = 0;
  const auto results = parse_json(outcome.out);
  for (const auto& key : results["keys"]) passed += key["passed"] ? 1 : 0;
  EXPECT_LT(passed, 5);
}

TEST(Verify, MissingGoldenIsNamed) {
  const Checkpoint checkpoint;
  expect_failed(run_program({"verify", checkpoint.path()}), "name one with --golden");
}

TEST(Verify, TokenizerCases) {
  const Outcome outcome = run_program(
      {"verify", "--tokenizer", kDemo + "/tokenizer.json", "--cases", "/no/cases.json"});
  expect_failed(outcome, "/no/cases.json");
}

TEST(Verify, ChatAndToolCases) {
  const std::string spec = kGoldens + "/spec/";
  const Outcome chat = run_program({"verify", "--chat-cases", spec + "chat-cases.json"});
  EXPECT_EQ(chat.exit_code, 0);
  EXPECT_EQ(chat.out, "105 of 105 cases pass\n");
  const Outcome tool =
      run_program({"verify", "--tool-cases", spec + "tool-parse-cases.json", "--json"});
  EXPECT_EQ(tool.exit_code, 0);
  EXPECT_EQ(parse_json(tool.out)["passed"], 74);
}

TEST(Verify, FailedCasesAreListed) {
  const TemporaryFolder folder;
  const std::string path = folder / "cases.json";
  write_whole(path, R"({"cases": [{"name": "x", "messages": [], "expected": "<eos>"}]})");
  const Outcome failed = run_program({"verify", "--chat-cases", path});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_EQ(failed.out,
            "FAILED cases[0] \"x\": at byte 1: expected \"<eos>\", found \"<bos>\"\n"
            "0 of 1 cases pass\n");
  EXPECT_EQ(parse_json(
                run_program({"verify", "--chat-cases", path, "--json"}).out)["failures"][0]["name"],
            "cases[0] \"x\"");
}

TEST(Verify, DamagedCasesAreNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "cases.json";
  write_whole(path, R"({"cases": [{"name": "x"}]})");
  expect_failed(run_program({"verify", "--chat-cases", path}),
                path + ": cases[0] \"x\": messages: expected a list");
  expect_failed(run_program({"verify", "--tool-cases", path}),
                path + ": cases[0] \"x\": model_output: expected a string");
  expect_failed(run_program({"verify", "--tool-cases", "/no/cases.json"}), "/no/cases.json");
  expect_bad_usage(run_program({"verify", "--tool-cases", path, "--chat-cases", path}),
                   "--tool-cases");
}

TEST(Info, JsonMatchesTheConfiguration) {
  const Outcome outcome = run_program({"info", "--json"});
  ASSERT_EQ(outcome.exit_code, 0);
  const auto info = parse_json(outcome.out);
  const auto config = parse_json(read_whole(kDemo + "/config.json"));
  EXPECT_EQ(info["hidden_size"], config["text_config"]["hidden_size"]);
  EXPECT_EQ(info["context"], 4096);
  EXPECT_EQ(info["text_bytes"], 2 * info["text_parameters"].get<int64_t>());
  EXPECT_THAT(run_program({"info"}).out, HasSubstr("4,096 tokens"));
}

TEST(Info, CacheHasTheBytesOfItsType) {
  const auto cache_bytes = [](const std::string& type) {
    const Outcome outcome = run_program({"info", "--json", "--kv-type", type});
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    const auto info = parse_json(outcome.out);
    EXPECT_EQ(info["kv_type"], type);
    return info["sliding_kv_bytes"].get<int64_t>() + info["full_kv_bytes"].get<int64_t>();
  };
  const int64_t floats = cache_bytes("f32") / 4;
  EXPECT_GT(floats, 0);
  EXPECT_EQ(cache_bytes("f16"), 2 * floats);
  EXPECT_EQ(cache_bytes("bf16"), 2 * floats);
  EXPECT_EQ(cache_bytes("q8_0"), floats / 32 * 34);
  EXPECT_THAT(run_program({"info", "--kv-type", "q8_0"}).out, HasSubstr(" in q8_0 ("));
}

TEST(Bench, NarrowKeysAndValuesAreFewerBytes) {
  const auto bytes_per_step = [](const std::string& type) {
    const Outcome outcome = run_program(
        {"bench", "-p", "0", "-n", "2", "-d", "200", "-r", "1", "--kv-type", type, "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    const auto json = parse_json(outcome.out);
    EXPECT_EQ(json["kv_type"], type);
    return json["rows"][0]["bytes_per_step"].get<double>();
  };
  EXPECT_LT(bytes_per_step("f16"), bytes_per_step("f32"));
  EXPECT_LT(bytes_per_step("q8_0"), bytes_per_step("bf16"));
}

TEST(Bench, JsonHasARowForEachTest) {
  const Outcome outcome =
      run_program({"bench", "-p", "16", "-n", "4", "-b", "1,2", "-r", "1", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  const auto json = parse_json(outcome.out);
  EXPECT_GT(json["read_bandwidth_bytes_per_second"], 1e8);
  EXPECT_EQ(json["rows"].size(), 3U);
  for (const auto& row : json["rows"]) {
    EXPECT_GT(row["tokens_per_second"], 0);
    EXPECT_GT(row[row["test"] == "prompt" ? "products_share" : "bandwidth_share"], 0);
  }
}

TEST(Bench, AProfileSaysWhereTheTimeOfEachTestGoes) {
  const std::vector<std::string> bench = {"bench", "-p", "16", "-n", "4", "-r", "1", "--profile"};
  const Outcome table = run_program(bench);
  ASSERT_EQ(table.exit_code, 0) << testing::PrintToString(table);
  EXPECT_THAT(table.out, AllOf(HasSubstr("prompt of 16"), HasSubstr("generate of 4"),
                               HasSubstr("attention"), HasSubstr("(between kernels)")));
  const auto json = parse_json(run_program(bench + std::vector<std::string>{"--json"}).out);
  for (const auto& row : json["rows"]) {
    double seconds = 0;
    for (const auto& kernel : row["profile"]["kernels"]) seconds += double{kernel["seconds"]};
    EXPECT_GT(seconds, 0);
    EXPECT_LE(seconds, double{row["profile"]["seconds"]});
  }
}

TEST(Tokenize, PrintsIdsAndPieces) {
  const Outcome pieces = run_program({"tokenize", "-p", "Hello world"});
  EXPECT_EQ(pieces.exit_code, 0);
  EXPECT_THAT(pieces.out, AllOf(HasSubstr("\"Hello\""), HasSubstr("2 tokens")));
  const auto json = parse_json(run_program({"tokenize", "-p", "-", "--json"}, "Hello world\n").out);
  std::string ids;
  for (const auto& token : json["tokens"])
    ids += (ids.empty() ? "" : " ") + std::to_string(token["id"].get<int>());
  EXPECT_EQ(run_program({"tokenize", "-p", "Hello world", "--ids"}).out, ids + "\n");
  EXPECT_EQ(run_program({"tokenize", kDemo + "/tokenizer.json", "-p", "Hello world", "--ids"}).out,
            ids + "\n");
}

TEST(Tokenize, PlainTakesControlTokensAsText) {
  const auto count = [](const std::vector<std::string>& options) {
    return parse_json(
               run_program(std::vector<std::string>{"tokenize", "-p", "<eos>", "--json"} + options)
                   .out)["tokens"]
        .size();
  };
  EXPECT_EQ(count({}), 1U);
  EXPECT_GT(count({"--plain"}), 1U);
}

}  // namespace
}  // namespace gemma4
