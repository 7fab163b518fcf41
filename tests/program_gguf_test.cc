// GGUF files as a user meets them: written by convert, synth and quantize, read by every command.

#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/gguf_parts.h"
#include "kernels/registry.h"
#include "model/model.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using nlohmann::ordered_json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

void expect_done(const Outcome& outcome, const std::string& err = "") {
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_EQ(outcome.err, err);
}

ordered_json info(const std::string& path) {
  const Outcome outcome = run_program({"info", path, "--json"});
  expect_done(outcome);
  return parse_json(outcome.out);
}

// The demo model, converted once.
const std::string& demo_gguf() {
  static const TemporaryFolder folder;
  static const std::string path = folder / "demo.gguf";
  if (!std::filesystem::exists(path)) expect_done(run_program({"convert", kDemo, path}));
  return path;
}

TEST(GgufProgram, AnswersLikeTheCheckpoint) {
  const std::vector<std::string> greedy = {"--temp", "0"}, drawn = {"--seed", "3"};
  for (const auto& options : {greedy, drawn}) {
    const auto arguments = std::vector<std::string>{"-p", "Hello!"} + options;
    const Outcome expected = run_program(std::vector<std::string>{"run", kDemo} + arguments);
    const Outcome found = run_program(std::vector<std::string>{"run", demo_gguf()} + arguments);
    expect_done(found);
    EXPECT_EQ(found.out, expected.out);
  }
}

// KiB of a mapped file that are in this process's memory
int64_t resident_kib_of(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  int64_t sum = 0;
  bool is_ours = false;
  for (std::string line; std::getline(maps, line);) {
    const bool is_heading = !line.substr(0, line.find(' ')).ends_with(':');
    if (is_heading) is_ours = line.ends_with(path);
    int64_t kib = 0;
    if (is_ours && std::sscanf(line.c_str(), "Rss: %" SCNd64, &kib) == 1) sum += kib;
  }
  return sum;
}

TEST(GgufProgram, WeightsThatWerePackedAreNotInMemoryTwice) {
  const TemporaryFolder folder;
  const std::string path = folder / "q8_0.gguf";
  ASSERT_EQ(run_program({"quantize", demo_gguf(), path, "--type", "q8_0"}).exit_code, 0);
  const auto device = kernels::open_cpu_device({.num_threads = 1});
  ASSERT_TRUE(device.ok()) << device.error().message;
  const auto model = model::Model::load(path, device.value());
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto file_kib = static_cast<int64_t>(std::filesystem::file_size(path)) / 1024;
  EXPECT_GT(resident_kib_of(path), 0);
  EXPECT_LT(resident_kib_of(path), file_kib / 4);
}

TEST(GgufProgram, TokenizesLikeTheCheckpoint) {
  const std::vector<std::string> text = {"-p", "<|turn>user\nA tiny test, 123.", "--ids"};
  const Outcome found = run_program(std::vector<std::string>{"tokenize", demo_gguf()} + text);
  expect_done(found);
  EXPECT_EQ(found.out, run_program(std::vector<std::string>{"tokenize", kDemo} + text).out);
}

TEST(GgufProgram, InfoCountsTheTypes) {
  const ordered_json found = info(demo_gguf());
  const ordered_json expected = info(kDemo);
  EXPECT_EQ(found["text_parameters"], expected["text_parameters"]);
  EXPECT_EQ(found["num_hidden_layers"], expected["num_hidden_layers"]);
  EXPECT_GT(found["tensors_by_type"]["F32"], 0);
  const Outcome text = run_program({"info", demo_gguf()});
  EXPECT_THAT(text.out, AllOf(HasSubstr("demo.gguf (gemma4)"), HasSubstr(" F32")));
}

TEST(GgufProgram, KeysAndValuesAreAsNarrowAsTheWeightsAllow) {
  const TemporaryFolder folder;
  const std::string path = folder / "q8_0.gguf";
  ASSERT_EQ(run_program({"quantize", demo_gguf(), path, "--type", "q8_0"}).exit_code, 0);
  const auto kv_type = [](const std::vector<std::string>& options) {
    const auto bench = std::vector<std::string>{"bench", "--device", "cpu", "--json", "-p",
                                                "4",     "-n",       "0",   "-r",     "1"};
    const Outcome outcome = run_program(bench + options);
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    return parse_json(outcome.out)["kv_type"].get<std::string>();
  };
  EXPECT_EQ(kv_type({demo_gguf()}), "f32");
  EXPECT_EQ(kv_type({path}), "f16");
  EXPECT_EQ(kv_type({demo_gguf(), "--quantize", "q4_0"}), "f16");
  EXPECT_EQ(kv_type({path, "--kv-type", "f32"}), "f32");
  EXPECT_EQ(info(demo_gguf())["kv_type"], "f32");
  EXPECT_EQ(info(path)["kv_type"], "f16");

  // What measures weights keeps f32.
  const auto perplexity = [&](const std::vector<std::string>& options) {
    const auto eval =
        std::vector<std::string>{"eval", path, "--device", "cpu", "--json", "--ctx", "64", "-f"};
    const Outcome outcome = run_program(eval + options);
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    return parse_json(outcome.out)["perplexity"].get<double>();
  };
  const std::string text = kDemo + "/config.json";
  EXPECT_EQ(perplexity({text}), perplexity({text, "--kv-type", "f32"}));
  EXPECT_NE(perplexity({text}), perplexity({text, "--kv-type", "f16"}));
}

TEST(GgufProgram, BenchAndVerifyTakeIt) {
  EXPECT_EQ(run_program({"bench", demo_gguf(), "-p", "5", "-n", "2", "-r", "1"}).exit_code, 0);
  expect_failed(run_program({"verify", demo_gguf()}), "demo.gguf: name the golden file");
}

TEST(GgufProgram, TheFileHoldsTheTemplateAndTheSamplingDefaults) {
  const auto parts = io::GgufParts::open(demo_gguf()).value();
  const auto config = parse_json(read_whole(kDemo + "/generation_config.json"));
  EXPECT_EQ(parts.metadata().get_int("general.sampling.top_k").value(), config.value("top_k", 64));
  EXPECT_EQ(parts.metadata().get_string("general.name").value(), "demo");
  const auto tokenizer_config = parse_json(read_whole(kDemo + "/tokenizer_config.json"));
  ASSERT_EQ(tokenizer_config.contains("chat_template"),
            parts.metadata().find("tokenizer.chat_template") != nullptr);
}

TEST(Convert, GoldensVerify) {
  const TemporaryFolder folder;
  for (const char* name : {"tiny-e", "tiny-12b", "tiny-31b", "tiny-26b"}) {
    const std::string model = name;
    const std::string path = folder / (model + ".gguf");
    const Outcome made =
        run_program({"convert", kGoldens + "/" + model, path, "--synthetic-vocabulary"});
    expect_done(made);
    const Outcome verified =
        run_program({"verify", path, "--golden", kGoldens + "/" + model + "/golden.safetensors",
                     "--keys", "text.*"});
    expect_done(verified);
  }
}

TEST(Convert, AgainGivesTheSameBytes) {
  const TemporaryFolder folder;
  expect_done(run_program({"convert", kDemo, folder / "demo.gguf"}));
  EXPECT_EQ(read_whole(folder / "demo.gguf"), read_whole(demo_gguf()));
  // Metadata of a file are sorted once, and stay as they are.
  expect_done(run_program({"convert", folder / "demo.gguf", folder / "b.gguf"}));
  expect_done(run_program({"convert", folder / "b.gguf", folder / "c.gguf", "--threads", "1"}));
  EXPECT_EQ(read_whole(folder / "b.gguf"), read_whole(folder / "c.gguf"));
  EXPECT_EQ(read_whole(folder / "b.gguf").size(), read_whole(demo_gguf()).size());
}

TEST(Convert, SaysWhatIsMissingOrInTheWay) {
  const TemporaryFolder folder;
  const std::string golden = kGoldens + "/tiny-31b";
  expect_failed(run_program({"convert", golden, folder / "a.gguf"}),
                "tokenizer.json: no such file");
  expect_failed(run_program({"convert", kDemo, folder / "a.bin"}), "a.bin: the name must end in");
  write_whole(folder / "a.gguf", "mine");
  expect_failed(run_program({"convert", kDemo, folder / "a.gguf"}), "a.gguf: exists already");
  EXPECT_EQ(read_whole(folder / "a.gguf"), "mine");
  expect_failed(run_program({"convert", kDemo, folder / "no/a.gguf"}), "there is no folder");
  EXPECT_THAT(folder.files(), testing::ElementsAre("a.gguf"));
}

TEST(Convert, AFullDiskLeavesNothing) {
  const TemporaryFolder folder;
  expect_failed(run_program({"convert", kDemo, folder / "a.gguf"}, "", {.file_size_limit = 100000}),
                "cannot write");
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(Synth, GgufHasTheWeightsOfTheFolder) {
  const TemporaryFolder folder;
  const std::string config = kGoldens + "/tiny-26b/config.json";
  ASSERT_EQ(run_program({"synth", config, folder / "a", "--text-only"}).exit_code, 0);
  expect_done(run_program(
      {"convert", folder / "a", folder / "a.gguf", "--synthetic-vocabulary", "--no-mmproj"}));
  expect_done(run_program({"synth", config, folder / "b.gguf", "--type", "bf16", "--text-only"}));
  const auto a = io::GgufParts::open(folder / "a.gguf").value();
  const auto b = io::GgufParts::open(folder / "b.gguf").value();
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const auto& [name, tensor] : a.tensors()) {
    const io::GgufTensor* other = b.find_tensor(name);
    ASSERT_NE(other, nullptr) << name;
    EXPECT_EQ(tensor.type, other->type) << name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes, other->bytes)) << name;
  }
  EXPECT_EQ(run_program({"bench", folder / "b.gguf", "-p", "5", "-n", "2", "-r", "1"}).exit_code,
            0);
}

TEST(Synth, OtherTypesNeedAGguf) {
  const TemporaryFolder folder;
  const std::string config = kGoldens + "/tiny-31b/config.json";
  expect_failed(run_program({"synth", config, folder / "a", "--type", "q8_0"}),
                "checkpoint folders are bf16");
  expect_failed(run_program({"synth", config, folder / "a.gguf", "--type", "q9"}),
                "--type: \"q9\" is none of f32, f16, bf16");
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(Quantize, EveryTypeByRule) {
  const TemporaryFolder folder;
  const Outcome made =
      run_program({"quantize", kDemo, folder / "a.gguf", "--type", "q8_0", "--head", "f16",
                   "--tensor", "blk.*.attn_v.weight=bf16", "--tensor", "blk.0.*=f32"});
  ASSERT_EQ(made.exit_code, 0) << testing::PrintToString(made);
  EXPECT_THAT(made.out, StartsWith(folder / "a.gguf" + ": "));
  const auto parts = io::GgufParts::open(folder / "a.gguf").value();
  const auto type = [&](const char* name) { return parts.find_tensor(name)->type->name; };
  EXPECT_EQ(type("blk.1.attn_q.weight"), "Q8_0");
  EXPECT_EQ(type("token_embd.weight"), "F16");
  EXPECT_EQ(type("blk.0.attn_v.weight"), "BF16");  // the first rule that matches
  EXPECT_EQ(type("blk.0.attn_q.weight"), "F32");
  EXPECT_EQ(type("blk.1.attn_norm.weight"), "F32");
  EXPECT_EQ(parts.metadata().get_int("general.file_type").value(), 0);  // by its first matrix
  EXPECT_GT(info(folder / "a.gguf")["tensors_by_type"]["Q8_0"], 1);

  // From there to plain floats again: said, and close.
  const Outcome again =
      run_program({"quantize", folder / "a.gguf", folder / "b.gguf", "--type", "f32"});
  EXPECT_THAT(again.err, HasSubstr("the weights are Q8_0 already"));
  EXPECT_EQ(run_program({"run", folder / "b.gguf", "-p", "Hello!", "--max-tokens", "4"}).exit_code,
            0);
}

// Weights and activations of few bits move the logits, the more the fewer. The bounds are about
// twice what was measured; that of Q8_0 is the promise.
TEST(Quantize, EveryTypeAnswersAndStaysNearTheReference) {
  const TemporaryFolder folder;
  const std::pair<const char*, double> types[] = {{"q8_0", 0.03}, {"q6_k", 0.035},
                                                  {"q5_k", 0.07}, {"q4_k", 0.15},
                                                  {"q4_0", 0.15}, {"iq4_nl", 0.15}};
  for (const auto& [type, bound] : types) {
    const std::string file = folder / (std::string(type) + ".gguf");
    ASSERT_EQ(run_program({"quantize", kDemo, file, "--type", type, "--head", "q8_0"}).exit_code,
              0);
    EXPECT_EQ(run_program({"run", file, "-p", "What is 47 plus 38?", "--temp", "0"}).out,
              "47 plus 38 is 85.\n")
        << type;
    const Outcome verified = run_program({"verify", file, "--golden", kDemo + "/golden.safetensors",
                                          "--keys", "text.logits", "--json"});
    const double error = parse_json(verified.out)["keys"][0]["relative_error"];
    EXPECT_LT(error, bound) << type;
    EXPECT_GT(error, 1e-4) << type << " computed with other weights than those of the file";
  }
}

TEST(Quantize, RowsThatFitNoLargeBlockGetSmallOnes) {
  const TemporaryFolder folder;
  const Outcome made = run_program({"quantize", kGoldens + "/tiny-e", folder / "a.gguf", "--type",
                                    "q6_k", "--synthetic-vocabulary"});
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_THAT(made.err, HasSubstr("rows that are no whole number of blocks"));
  const auto parts = io::GgufParts::open(folder / "a.gguf").value();
  EXPECT_EQ(parts.find_tensor("blk.0.ffn_down.weight")->type->name, "Q8_0");  // rows of 192
}

TEST(Quantize, RefusesWhatItCannotDo) {
  const TemporaryFolder folder;
  const auto with = [&](std::vector<std::string> options) {
    return run_program(std::vector<std::string>{"quantize", kDemo, folder / "a.gguf"} + options);
  };
  expect_bad_usage(with({}), "--type is required");
  expect_failed(with({"--type", "q1"}), "--type: \"q1\" is none of");
  expect_failed(with({"--type", "q8_0", "--head", "x"}), "--head: \"x\" is none of");
  expect_failed(with({"--type", "q8_0", "--tensor", "blk.*"}), "expected PATTERN=TYPE");
  expect_failed(with({"--type", "q8_0", "--tensor", "blk.*=x"}), "\"x\" is none of");
  expect_failed(with({"--type", "q8_0", "--tensor", "block.*=f16"}), "no matrix has such a name");
  expect_failed(with({"--type", "q8_0", "--tensor", "*norm*=f16"}), "no matrix has such a name");
  EXPECT_THAT(folder.files(), IsEmpty());
}

}  // namespace
}  // namespace gemma4
