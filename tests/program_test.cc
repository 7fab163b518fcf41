// The program as its user meets it: every promise about commands, files, errors, Ctrl-C and full
// disks, held against the real binary. The demo model and the tiny goldens are the checkpoints.

#include <cstring>
#include <nlohmann/json.hpp>

#include "io/safetensors.h"
#include "model/formula_weights.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using nlohmann::ordered_json;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

const std::string kDemo = std::string(GEMMA4_SOURCE_DIR) + "/models/demo";
const std::string kGoldens = std::string(GEMMA4_SOURCE_DIR) + "/tests/golden";
const std::vector<std::string> kCommands = {"bench", "chat",     "info",  "run",
                                            "synth", "tokenize", "verify"};
// Hot enough that no stop token comes: an answer that goes on until the context is full.
const std::vector<std::string> kEndless = {"--temp", "100", "--top-k", "0", "--top-p", "1"};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// One line, "gemma4: …", and nothing on stdout.
void expect_failure(const Outcome& outcome, int exit_code, const std::string& message) {
  EXPECT_EQ(outcome.exit_code, exit_code) << testing::PrintToString(outcome);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(StartsWith("gemma4: "), EndsWith("\n"), HasSubstr(message)));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}
void expect_failed(const Outcome& outcome, const std::string& message) {
  expect_failure(outcome, 1, message);
}
void expect_bad_usage(const Outcome& outcome, const std::string& message) {
  expect_failure(outcome, 2, message);
  EXPECT_THAT(outcome.err, HasSubstr("--help'"));
}

Outcome answer(const std::vector<std::string>& options, const std::string& prompt = "Hello!") {
  return run_program(std::vector<std::string>{"run", "-p", prompt, "--seed", "1"} + options);
}

// A checkpoint folder that a test may damage: configuration and weights of a tiny golden.
class Checkpoint {
 public:
  explicit Checkpoint(const std::string& golden = "tiny-31b") {
    for (const char* name : {"config.json", "model.safetensors", "generation_config.json"})
      std::filesystem::copy_file(kGoldens + "/" + golden + "/" + name, folder_ / name);
    const std::string file = read_whole(weights());
    uint64_t size = 0;
    std::memcpy(&size, file.data(), sizeof size);
    header = ordered_json::parse(file.substr(8, size));
    data = file.substr(8 + size);
    config = ordered_json::parse(read_whole(folder_ / "config.json"));
  }
  void write_weights(const std::string& name = "model.safetensors") const {
    const std::string text = header.dump();
    const uint64_t size = text.size();
    std::string file(reinterpret_cast<const char*>(&size), sizeof size);
    write_whole(folder_ / name, file + text + data);
  }
  void write_config() const { write_whole(folder_ / "config.json", config.dump()); }
  std::string path() const { return folder_.path(); }
  std::string weights() const { return folder_ / "model.safetensors"; }
  std::string operator/(const std::string& name) const { return folder_ / name; }

  ordered_json header;
  std::string data;
  ordered_json config;

 private:
  TemporaryFolder folder_;
};

constexpr const char* kTensor = "model.language_model.layers.1.mlp.up_proj.weight";

// ---- usage

TEST(Usage, EveryCommandHasHelp) {
  const Outcome all = run_program({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  for (const std::string& command : kCommands) {
    EXPECT_THAT(all.out, HasSubstr("\n  " + command));
    const Outcome help = run_program({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.out, AllOf(HasSubstr("gemma4 " + command), HasSubstr("--help")));
    EXPECT_EQ(help.err, "") << command;
  }
  EXPECT_THAT(run_program({"--version"}).out, MatchesRegex("gemma4 [0-9.]+\n"));
}

TEST(Usage, NoOrUnknownCommandIsBadUsage) {
  expect_bad_usage(run_program({}), "no command given");
  expect_bad_usage(run_program({"dance"}), "there is no command \"dance\"");
}

TEST(Usage, UnknownOptionIsBadUsageAndPointsAtTheCommandsHelp) {
  for (const std::string& command : kCommands) {
    const Outcome outcome = run_program({command, "--no-such-option"});
    EXPECT_EQ(outcome.exit_code, 2) << command;
    EXPECT_THAT(outcome.err, HasSubstr("see 'gemma4 " + command + " --help'"));
  }
  expect_bad_usage(run_program({"run", "--foo", "-p", "x"}), "--foo");
  expect_bad_usage(run_program({"run"}), "--prompt is required");
  expect_bad_usage(run_program({"verify", "--tokenizer", "x"}), "--cases");
}

TEST(Usage, ImpossibleValuesNameOptionAndRange) {
  struct Case {
    std::string option, value, range;
  };
  const std::vector<Case> cases = {
      {"--temp", "-1", "from 0 to 100"},
      {"--temp", "nan", "from 0 to 100"},
      {"--temp", "hot", "from 0 to 100"},
      {"--top-k", "-1", "from 0 to 2147483647"},
      {"--top-k", "1.5", "a whole number"},
      {"--top-p", "0", "above 0 and at most 1"},
      {"--top-p", "1.5", "above 0 and at most 1"},
      {"--min-p", "1", "at least 0 and below 1"},
      {"--min-p", "-0.1", "at least 0 and below 1"},
      {"--repetition-penalty", "0", "above 0 and at most 100"},
      {"--presence-penalty", "inf", "from -100 to 100"},
      {"--frequency-penalty", "101", "from -100 to 100"},
      {"--max-tokens", "0", "1 or more"},
      {"--max-tokens", "99999999999999999999", "1 or more"},
      {"--seed", "-1", "0 or more"},
      {"--ctx", "1", "2 or more"},
      {"--threads", "0", "from 1 to 1024"},
      {"--threads", "2000", "from 1 to 1024"},
      {"--device", "tpu", "cpu, cuda or auto"},
      {"--stop", "\xff", "UTF-8 text"},
      {"--system", "\xff", "UTF-8 text"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.option + " " + c.value);
    expect_bad_usage(run_program({"run", "-p", "x", c.option, c.value}), c.option + ": must be ");
    EXPECT_THAT(run_program({"run", "-p", "x", c.option, c.value}).err, HasSubstr(c.range));
  }
}

TEST(Usage, WhatThisBuildLacksIsSaid) {
  expect_failed(answer({"--device", "cuda"}), "--device cuda: this build has no CUDA kernels");
  expect_failed(answer({"--kv-type", "q8_0"}), "--kv-type q8_0");
  TemporaryFolder folder;
  expect_failed(
      run_program({"synth", kGoldens + "/tiny-e/config.json", folder / "x", "--type", "q4_0"}),
      "--type q4_0: only bf16");
}

// ---- which model

TEST(WhichModel, NoSuchFile) {
  for (const char* command : {"info", "run", "tokenize", "bench", "chat", "verify"}) {
    SCOPED_TRACE(command);
    std::vector<std::string> arguments = {command, "/no/such/model"};
    if (command == std::string("run") || command == std::string("tokenize"))
      arguments = arguments + std::vector<std::string>{"-p", "x"};
    expect_failed(run_program(arguments), "/no/such/model: no such file or folder");
  }
}

TEST(WhichModel, FolderWithoutConfiguration) {
  TemporaryFolder folder;
  expect_failed(run_program({"run", folder.path(), "-p", "x"}),
                folder.path() + ": this folder has no config.json");
}

TEST(WhichModel, AnotherFamilyIsNamed) {
  Checkpoint checkpoint;
  checkpoint.config["model_type"] = "llama";
  checkpoint.write_config();
  expect_failed(run_program({"info", checkpoint.path()}),
                checkpoint / "config.json" + ": this is a \"llama\" model, not a Gemma 4 model");
}

TEST(WhichModel, DrafterIsRecognised) {
  Checkpoint checkpoint;
  checkpoint.config["model_type"] = "gemma4_assistant";
  checkpoint.write_config();
  expect_failed(run_program({"info", checkpoint.path()}), "this is a Gemma 4 drafter");
}

TEST(WhichModel, GgufIsNotSupportedYet) {
  TemporaryFolder folder;
  write_whole(folder / "model.gguf", "GGUF");
  expect_failed(run_program({"run", folder / "model.gguf", "-p", "x"}),
                "model.gguf: GGUF weights are not supported yet");
}

TEST(WhichModel, AFileIsNotAFolder) {
  expect_failed(run_program({"info", kDemo + "/config.json"}), "name the checkpoint folder");
}

TEST(WhichModel, MissingTokenizerIsNamed) {
  const Checkpoint checkpoint;
  for (const char* command : {"run", "tokenize"})
    expect_failed(run_program({command, checkpoint.path(), "-p", "x"}),
                  checkpoint / "tokenizer.json" + ": no such file");
}

TEST(WhichModel, TokenizerOfAnotherModelIsRefused) {
  const Checkpoint checkpoint;
  std::filesystem::copy_file(kDemo + "/tokenizer.json", checkpoint / "tokenizer.json");
  expect_failed(run_program({"run", checkpoint.path(), "-p", "x"}), "they do not belong together");
}

TEST(WhichModel, DamagedJsonNamesTheFile) {
  const Checkpoint checkpoint;
  write_whole(checkpoint / "config.json", "{\"model_type\": ");
  expect_failed(run_program({"info", checkpoint.path()}),
                checkpoint / "config.json" + ": is not a JSON object");
}

// ---- damaged weights

TEST(DamagedWeights, MissingShardIsNamed) {
  const Checkpoint checkpoint;
  ordered_json index = {{"weight_map", {{kTensor, "model-00002-of-00002.safetensors"}}}};
  write_whole(checkpoint / "model.safetensors.index.json", index.dump());
  expect_failed(run_program({"info", checkpoint.path()}),
                "shard model-00002-of-00002.safetensors is missing");
}

TEST(DamagedWeights, NoWeightsAtAll) {
  const Checkpoint checkpoint;
  std::filesystem::remove(checkpoint.weights());
  expect_failed(run_program({"info", checkpoint.path()}), "has neither model.safetensors nor");
}

TEST(DamagedWeights, TruncatedFileNamesFileAndTensor) {
  Checkpoint checkpoint;
  checkpoint.data.resize(checkpoint.data.size() / 2);
  checkpoint.write_weights();
  const Outcome outcome = run_program({"info", checkpoint.path()});
  expect_failed(outcome, checkpoint.weights() + ": tensor \"");
  EXPECT_THAT(outcome.err, HasSubstr("it is truncated or damaged"));
}

TEST(DamagedWeights, TruncatedHeaderNamesFile) {
  const Checkpoint checkpoint;
  for (const size_t size : {size_t{0}, size_t{7}, size_t{8}, size_t{100}}) {
    std::filesystem::resize_file(checkpoint.weights(), 100 - (100 - size));
    expect_failed(run_program({"info", checkpoint.path()}), checkpoint.weights());
    checkpoint.write_weights();
  }
}

TEST(DamagedWeights, OverlapNamesFileAndTensor) {
  Checkpoint checkpoint;
  auto& offsets = checkpoint.header[kTensor]["data_offsets"];
  const int64_t size = offsets[1].get<int64_t>() - offsets[0].get<int64_t>();
  offsets = {0, size};
  checkpoint.write_weights();
  const Outcome outcome = run_program({"info", checkpoint.path()});
  expect_failed(outcome, checkpoint.weights() + ": tensor \"");
  EXPECT_THAT(outcome.err, HasSubstr("overlaps"));
}

TEST(DamagedWeights, ShapeThatLiesNamesFileAndTensor) {
  Checkpoint checkpoint;
  checkpoint.header[kTensor]["shape"][0] = int64_t{1} << 62;
  checkpoint.write_weights();
  expect_failed(run_program({"info", checkpoint.path()}),
                checkpoint.weights() + ": tensor \"" + kTensor + "\": shape ");
}

TEST(DamagedWeights, ShapeThatDoesNotFitTheConfigurationNamesTensor) {
  Checkpoint checkpoint;
  auto& shape = checkpoint.header[kTensor]["shape"];
  shape = {shape[1], shape[0]};
  checkpoint.write_weights();
  expect_failed(run_program({"info", checkpoint.path()}), kTensor);
}

TEST(DamagedWeights, MissingTensorIsNamed) {
  Checkpoint checkpoint;
  checkpoint.header[std::string(kTensor) + "x"] = checkpoint.header[kTensor];
  checkpoint.header.erase(kTensor);
  checkpoint.write_weights();
  const Outcome outcome = run_program({"info", checkpoint.path()});
  expect_failed(outcome, kTensor);
  EXPECT_THAT(outcome.err, HasSubstr("missing"));
}

TEST(DamagedWeights, FlippedBitsNeverCrash) {
  const Checkpoint checkpoint;
  const std::string good = read_whole(checkpoint.weights());
  for (size_t i = 0; i < 60; ++i) {
    const size_t byte = i < 8 ? i : i * 97;
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ (1 << (i % 8)));
    write_whole(checkpoint.weights(), bad);
    const Outcome outcome = run_program({"info", checkpoint.path()});
    SCOPED_TRACE(byte);
    if (outcome.exit_code != 0) expect_failed(outcome, checkpoint.path());
  }
}

// ---- run

TEST(Run, TheSameSeedGivesTheSameAnswer) {
  const std::vector<std::string> options = {"--temp", "1", "--max-tokens", "60"};
  const Outcome first = answer(options, "Tell me a story about a fox.");
  const Outcome second = answer(options, "Tell me a story about a fox.");
  EXPECT_EQ(first.exit_code, 0);
  EXPECT_EQ(first.out, second.out);
  EXPECT_THAT(first.out, EndsWith("\n"));
  EXPECT_GT(first.out.size(), 20U);
}

TEST(Run, PromptFromStandardInput) {
  const std::vector<std::string> options = {"run", "-p", "-", "--seed", "1", "--max-tokens", "8"};
  EXPECT_EQ(run_program(options, "Hello!\n").out, answer({"--max-tokens", "8"}).out);
}

TEST(Run, EmptyPromptIsRefused) {
  expect_failed(answer({}, ""), "the prompt is empty");
  expect_failed(answer({}, " \n"), "the prompt is empty");
  expect_failed(run_program({"run", "-p", "-"}), "standard input is empty");
}

TEST(Run, PromptThatIsNotUtf8IsRefusedWithItsByte) {
  expect_failed(answer({}, "abc\xff"), "the prompt is not UTF-8 text: byte 3 is wrong");
  expect_failed(run_program({"run", "-p", "-"}, "\xc3"),
                "standard input is not UTF-8 text: byte 0 is wrong");
}

TEST(Run, PromptLongerThanTheContextSaysBothNumbers) {
  std::string prompt;
  for (int i = 0; i < 200; ++i) prompt += "word ";
  const Outcome outcome = answer({"--ctx", "100"}, prompt);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err,
              MatchesRegex("gemma4: the prompt has [0-9]+ tokens, the context holds 100 .*\n"));
}

TEST(Run, ContextAboveTheModelsLimitSaysBothNumbers) {
  expect_failed(answer({"--ctx", "1000000"}), "--ctx 1000000: this model takes up to 4096 tokens");
  expect_failed(run_program({"info", "--ctx", "1000000"}),
                "--ctx 1000000: this model takes up to 4096 tokens");
}

TEST(Run, CutAnswerIsSaid) {
  const Outcome outcome = answer({"--max-tokens", "2"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("cut at 2 tokens"));
}

TEST(Run, JsonHoldsAnswerAndUsage) {
  const Outcome outcome = answer({"--json", "--max-tokens", "6"});
  ASSERT_EQ(outcome.exit_code, 0);
  const auto json = ordered_json::parse(outcome.out);
  EXPECT_EQ(json["content"].get<std::string>() + "\n", answer({"--max-tokens", "6"}).out);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["seed"], 1);
  EXPECT_EQ(json["usage"]["completion_tokens"], 6);
}

TEST(Run, StopTextEndsTheAnswerBeforeIt) {
  const std::string whole = answer({}).out;
  const size_t middle = whole.find(' ', whole.size() / 2);
  ASSERT_NE(middle, whole.npos);
  const std::string stop = whole.substr(middle, 4);
  EXPECT_EQ(answer({"--stop", stop}).out, whole.substr(0, whole.find(stop)) + "\n");
}

TEST(Run, RawContinuesTheTextAsItIs) {
  const auto raw = ordered_json::parse(answer({"--raw", "--json", "--max-tokens", "3"}, "One").out);
  const auto turn = ordered_json::parse(answer({"--json", "--max-tokens", "3"}, "One").out);
  EXPECT_EQ(raw["usage"]["prompt_tokens"], 2);  // <bos> and the word
  EXPECT_GT(turn["usage"]["prompt_tokens"], 5);
}

TEST(Run, ThoughtGoesToStandardError) {
  const std::vector<std::string> options = {"--think", "--temp", "0"};
  const std::string question = "Tell me a story about a dog.";
  const Outcome outcome = answer(options, question);
  const auto json =
      ordered_json::parse(answer(options + std::vector<std::string>{"--json"}, question).out);
  ASSERT_TRUE(json.contains("reasoning"));
  EXPECT_THAT(outcome.err, HasSubstr(json["reasoning"].get<std::string>()));
  EXPECT_EQ(outcome.out, json["content"].get<std::string>() + "\n");
  EXPECT_THAT(outcome.err, Not(HasSubstr("\033")));  // colours are for terminals
}

TEST(Run, VerboseTellsSpeedOnStandardError) {
  EXPECT_THAT(answer({"--verbose", "--max-tokens", "3"}).err, HasSubstr("tokens/s"));
}

TEST(Run, InterruptKeepsTheAnswerSoFar) {
  Process process(std::vector<std::string>{"run", "-p", "Hello!"} + kEndless);
  ASSERT_TRUE(process.read_until([](const Outcome& o) { return o.out.size() > 40; }));
  process.send(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.exit_code, 1) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, EndsWith("\n"));
  EXPECT_EQ(outcome.err, "gemma4: interrupted\n");
}

TEST(Run, InterruptedJsonIsStillJson) {
  Process process(std::vector<std::string>{"run", "-p", "Hello!", "--json", "--verbose"} +
                  kEndless);
  std::this_thread::sleep_for(milliseconds(700));  // nothing shows that it has begun
  process.send(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.exit_code, 1) << testing::PrintToString(outcome);
  EXPECT_EQ(ordered_json::parse(outcome.out)["finish_reason"], "cancelled");
}

// ---- writing

TEST(StandardOutput, FullDiskIsAnError) {
  const Process::Options full = {.stdout_path = "/dev/full"};
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"info"},
        {"info", "--json"},
        {"tokenize", "-p", "Hello"},
        {"run", "-p", "Hello", "--max-tokens", "3"},
        {"run", "-p", "Hello", "--json"},
        {"verify", kGoldens + "/tiny-e", "--keys", "text.greedy"},
        {"--help"}}) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    expect_failed(run_program(arguments, "", full), "cannot write to standard output");
  }
}

TEST(StandardOutput, ClosedPipeEndsTheProgram) {
  Process process(std::vector<std::string>{"run", "-p", "Hello!"} + kEndless);
  ASSERT_TRUE(process.read_until([](const Outcome& o) { return !o.out.empty(); }));
  process.close_output();
  const Outcome outcome = process.wait();
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1);
}

TEST(StandardOutput, ClosedPipeEndsChat) {
  Process process({"chat", "--max-tokens", "3"});
  ASSERT_TRUE(process.read_until([](const Outcome& o) { return !o.out.empty(); }));
  process.close_output();
  for (int i = 0; i < 3; ++i) process.write("Hello!\n");
  const Outcome outcome = process.wait();
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1);
}

// ---- synth

ordered_json odd_config() {
  ordered_json config = ordered_json::parse(read_whole(kGoldens + "/tiny-31b/config.json"));
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
  EXPECT_EQ(ordered_json::parse(info.out)["vocab_size"], 521);
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

// ---- verify, info, bench, tokenize

TEST(Verify, AgreesOnEveryTextKey) {
  const Outcome outcome = run_program({"verify", kGoldens + "/tiny-e", "--keys", "text.*"});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, HasSubstr("15 of 15 keys agree with the reference"));
}

TEST(Verify, KeyThatCannotBeComputedIsAFailure) {
  const Outcome outcome = run_program({"verify", kGoldens + "/tiny-e", "--keys", "audio.*"});
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
  const auto results = ordered_json::parse(outcome.out);
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

TEST(Info, JsonMatchesTheConfiguration) {
  const Outcome outcome = run_program({"info", "--json"});
  ASSERT_EQ(outcome.exit_code, 0);
  const auto info = ordered_json::parse(outcome.out);
  const auto config = ordered_json::parse(read_whole(kDemo + "/config.json"));
  EXPECT_EQ(info["hidden_size"], config["text_config"]["hidden_size"]);
  EXPECT_EQ(info["context"], 4096);
  EXPECT_EQ(info["text_bytes"], 2 * info["text_parameters"].get<int64_t>());
  EXPECT_THAT(run_program({"info"}).out, HasSubstr("4,096 tokens"));
}

TEST(Bench, JsonHasARowForEachTest) {
  const Outcome outcome =
      run_program({"bench", "-p", "16", "-n", "4", "-b", "1,2", "-r", "1", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  const auto json = ordered_json::parse(outcome.out);
  EXPECT_GT(json["read_bandwidth_bytes_per_second"], 1e8);
  EXPECT_EQ(json["rows"].size(), 3U);
  for (const auto& row : json["rows"]) EXPECT_GT(row["tokens_per_second"], 0);
}

TEST(Tokenize, PrintsIdsAndPieces) {
  const Outcome pieces = run_program({"tokenize", "-p", "Hello world"});
  EXPECT_EQ(pieces.exit_code, 0);
  EXPECT_THAT(pieces.out, AllOf(HasSubstr("\"Hello\""), HasSubstr("2 tokens")));
  const auto json =
      ordered_json::parse(run_program({"tokenize", "-p", "-", "--json"}, "Hello world\n").out);
  std::string ids;
  for (const auto& token : json["tokens"])
    ids += (ids.empty() ? "" : " ") + std::to_string(token["id"].get<int>());
  EXPECT_EQ(run_program({"tokenize", "-p", "Hello world", "--ids"}).out, ids + "\n");
  EXPECT_EQ(run_program({"tokenize", kDemo + "/tokenizer.json", "-p", "Hello world", "--ids"}).out,
            ids + "\n");
}

TEST(Tokenize, PlainTakesControlTokensAsText) {
  const auto count = [](const std::vector<std::string>& options) {
    return ordered_json::parse(
               run_program(std::vector<std::string>{"tokenize", "-p", "<eos>", "--json"} + options)
                   .out)["tokens"]
        .size();
  };
  EXPECT_EQ(count({}), 1U);
  EXPECT_GT(count({"--plain"}), 1U);
}

// ---- chat, with pipes

TEST(Chat, ReadsQuestionsFromAPipe) {
  const Outcome outcome = run_program({"chat", "--temp", "0"},
                                      "Hello!\n\n  \n/stats\n/nonsense\n/think maybe\n/exit\n");
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, AllOf(StartsWith("The demo model ("), HasSubstr("tokens/s"),
                                 HasSubstr("unknown command /nonsense; /help lists them"),
                                 HasSubstr("/think takes on or off"), Not(HasSubstr("\033"))));
  EXPECT_EQ(outcome.err, "");
}

TEST(Chat, SavesTheConversation) {
  const TemporaryFolder folder;
  const std::string path = folder / "chat.json";
  const Outcome outcome = run_program(
      {"chat", "--temp", "0", "--max-tokens", "6"},
      "/system Be kind.\nHello!\n/save " + path + "\n/new\nWho are you?\n/save " + path + "2\n");
  EXPECT_EQ(outcome.exit_code, 0);
  const auto roles = [](const std::string& file) {
    std::vector<std::string> list;
    const auto saved = ordered_json::parse(read_whole(file));
    for (const auto& message : saved["messages"]) list.push_back(message["role"]);
    return list;
  };
  EXPECT_THAT(roles(path), ElementsAre("system", "user", "assistant"));
  EXPECT_EQ(ordered_json::parse(read_whole(path))["messages"][1]["content"], "Hello!");
  EXPECT_THAT(roles(path + "2"), ElementsAre("system", "user", "assistant"));
}

TEST(Chat, SaveOntoAFullDiskIsSaidAndLeavesNothing) {
  const TemporaryFolder folder;
  const Outcome outcome = run_program(
      {"chat", "--max-tokens", "3"},
      "Hello!\n/save " + folder / "x.json" + "\n/save\nHello again!\n", {.file_size_limit = 10});
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("File too large; nothing was written"),
                                 HasSubstr("/save needs a file name")));
  EXPECT_THAT(folder.files(), IsEmpty());
}

TEST(Chat, BytesThatAreNotUtf8AreSaidAndDoNotEndTheChat) {
  const TemporaryFolder folder;
  const Outcome outcome = run_program({"chat", "--max-tokens", "3"},
                                      "/system a\xff\nHello \xc3(\n/save " + folder / "x.json\n");
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, HasSubstr("not UTF-8"));
  EXPECT_EQ(ordered_json::parse(read_whole(folder / "x.json"))["messages"].size(), 3U);
}

TEST(Chat, FullContextIsSaidAndANewConversationGoesOn) {
  const Outcome outcome = run_program({"chat", "--ctx", "40", "--temp", "0"},
                                      "Tell me a story about a dog.\nAnd then?\n/new\nHello!\n");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("(cut: the context"));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("the context holds 40"), HasSubstr("/new")));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 3) << outcome.err;
}

TEST(Chat, AnswersDifferWithoutASeedAndRepeatWithOne) {
  const std::string story = "Tell me a story about a dog.\n/new\n";
  const auto answers = [&](const std::vector<std::string>& options) {
    const std::string out =
        run_program(std::vector<std::string>{"chat", "--temp", "2", "--max-tokens", "40"} + options,
                    story + story)
            .out;
    const std::string divider = "new conversation\n\n";
    const size_t first = out.find(divider);
    const size_t start = out.find("\n\n") + 2;
    return std::pair(
        out.substr(start, first - start),
        out.substr(first + divider.size(), out.find(divider, first + 1) - first - divider.size()));
  };
  const auto fresh = answers({});
  EXPECT_NE(fresh.first, fresh.second);
  const auto seeded = answers({"--seed", "5"});
  EXPECT_EQ(seeded.first, seeded.second);
}

// ---- chat, on a terminal

TEST(ChatTerminal, ASession) {
  const TemporaryFolder folder;
  Terminal terminal({"chat", "--temp", "0"});
  EXPECT_THAT(terminal.expect_prompt(), HasSubstr("The demo model ("));
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");  // the echo
  EXPECT_GT(terminal.expect("\r\n\r\n").size(), 10U);
  terminal.expect_prompt();
  terminal.type("/help\r");
  EXPECT_THAT(terminal.expect("Ctrl-C stops"), HasSubstr("/save FILE"));
  terminal.expect_prompt();
  terminal.type("/think\r");
  terminal.expect("thinking is on");
  terminal.expect_prompt();
  terminal.type("Tell me a story about a dog.\r");
  terminal.expect("\033[2m");  // the thought is dimmed …
  terminal.expect("\033[0m");  // … and the answer is not
  terminal.expect_prompt();
  terminal.type("/stats\r");
  terminal.expect("tokens/s");
  terminal.expect_prompt();
  terminal.type("/system Answer briefly.\r");
  terminal.expect("system text set");
  terminal.expect_prompt();
  terminal.type("/save " + folder / "chat.json" + "\r");
  terminal.expect("saved to ");
  terminal.expect_prompt();
  terminal.type("/new\r");
  terminal.expect("new conversation");
  terminal.expect_prompt();
  terminal.type("/dance\r");
  terminal.expect("unknown command /dance");
  terminal.expect_prompt();
  terminal.type("\x04");  // Ctrl-D
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
  EXPECT_EQ(ordered_json::parse(read_whole(folder / "chat.json"))["messages"].size(), 5U);
}

TEST(ChatTerminal, InterruptStopsTheAnswerAndTheNextQuestionIsAnswered) {
  Terminal terminal(std::vector<std::string>{"chat"} + kEndless);
  terminal.expect_prompt();
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");
  terminal.expect(" ");  // some of the answer
  terminal.type("\x03");
  terminal.expect("(stopped)");
  terminal.expect_prompt();
  terminal.type("Hello again!\r");
  terminal.expect("Hello again!\r\n");
  terminal.expect(" ");
  terminal.type("\x03");
  terminal.expect("(stopped)");
  terminal.expect_prompt();
  terminal.type("/exit\r");
  EXPECT_EQ(terminal.wait(), 0);
}

TEST(ChatTerminal, InterruptAtThePromptDropsTheLine) {
  const TemporaryFolder folder;
  Terminal terminal({"chat", "--max-tokens", "3"});
  terminal.expect_prompt();
  terminal.type("\x03");  // nothing typed
  terminal.expect("^C\r\n");
  terminal.expect_prompt();
  terminal.type("never sent");
  terminal.expect("never sent");
  terminal.type("\x03");
  terminal.expect("^C\r\n");
  terminal.expect_prompt();
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");
  terminal.expect_prompt();
  terminal.type("/save " + folder / "x.json" + "\r");
  terminal.expect("saved");
  terminal.expect_prompt();
  terminal.type("\x04");
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
  EXPECT_EQ(ordered_json::parse(read_whole(folder / "x.json"))["messages"][0]["content"], "Hello!");
}

TEST(ChatTerminal, TerminationAtThePromptRestoresTheTerminal) {
  Terminal terminal({"chat"});
  terminal.expect_prompt();
  EXPECT_FALSE(terminal.restored());
  terminal.send(SIGTERM);
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
}

TEST(ChatTerminal, TerminationDuringAnAnswerEndsTheProgram) {
  Terminal terminal(std::vector<std::string>{"chat"} + kEndless);
  terminal.expect_prompt();
  terminal.type("Hello!\r");
  terminal.expect("Hello!\r\n");
  terminal.expect(" ");
  terminal.send(SIGTERM);
  terminal.expect("(stopped)");
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_TRUE(terminal.restored());
}

TEST(ChatTerminal, CharactersBeyondAsciiCanBeTyped) {
  const TemporaryFolder folder;
  Terminal terminal({"chat", "--max-tokens", "3"});
  terminal.expect_prompt();
  terminal.type("Grüße, 世界!\r");
  terminal.expect("Grüße, 世界!\r\n");
  terminal.expect_prompt();
  terminal.type("/save " + folder / "x.json" + "\r");
  terminal.expect("saved");
  EXPECT_EQ(ordered_json::parse(read_whole(folder / "x.json"))["messages"][0]["content"],
            "Grüße, 世界!");
}

TEST(RunTerminal, ThoughtIsDimmedAndNeverLeavesTheTerminalSo) {
  Terminal terminal(
      {"run", "-p", "Tell me a story about a dog.", "--think", "--temp", "0", "--max-tokens", "8"});
  terminal.expect("\033[2m");
  terminal.expect("\033[0m");
  EXPECT_EQ(terminal.wait(), 0);
}

}  // namespace
}  // namespace gemma4
