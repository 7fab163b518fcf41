// Which model a command takes, and what it says of a checkpoint that is damaged or none.

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

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
  expect_failed(run_program({"run", checkpoint.path(), "-p", "x"}), "this is a Gemma 4 drafter");
}

TEST(WhichModel, DamagedGgufIsNamed) {
  TemporaryFolder folder;
  write_whole(folder / "model.gguf", "GGUF");
  expect_failed(run_program({"run", folder / "model.gguf", "-p", "x"}),
                "model.gguf: version: the file ends here");
  write_whole(folder / "model.gguf", "{}");
  expect_failed(run_program({"info", folder / "model.gguf"}), "model.gguf: ");
}

TEST(WhichModel, AFileIsNotAFolder) {
  expect_failed(run_program({"info", kDemo + "/config.json"}), "or the checkpoint folder");
}

TEST(WhichModel, AnotherChatTemplateIsNotedOnce) {
  const TemporaryFolder folder;
  for (const char* name :
       {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"})
    std::filesystem::create_symlink(kDemo + "/" + name, folder / name);
  const std::vector<std::string> arguments = {"run", folder.path(), "-p", "Hello!", "--temp", "0"};
  EXPECT_EQ(run_program(arguments).err, "");
  const std::string note = "gemma4: note: the checkpoint's chat template ";
  const std::string rendered = "; prompts have Gemma 4's format of 2026-07-15\n";

  write_whole(folder / "tokenizer_config.json",
              R"({"chat_template": "{{ bos_token }}<|turn>{#- OpenAI Chat Completions: #}"})");
  Outcome outcome = run_program(arguments);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, note + "is an older revision (2026-04-10)" + rendered);

  write_whole(folder / "chat_template.jinja", "{{ messages }}");  // goes before the other
  EXPECT_EQ(run_program(arguments).err, note + "is unknown" + rendered);
  write_whole(folder / "chat_template.jinja", "{{ bos_token }}<|turn>preserve_thinking");
  EXPECT_EQ(run_program(arguments).err, "");

  std::filesystem::remove(folder / "chat_template.jinja");
  write_whole(folder / "tokenizer_config.json",
              R"({"chat_template": [{"name": "default", "template": "x"}]})");
  EXPECT_EQ(run_program(arguments).err, note + "is unknown" + rendered);
  write_whole(folder / "tokenizer_config.json", "{");
  outcome = run_program(arguments);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("tokenizer_config.json: is not JSON"));
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

}  // namespace
}  // namespace gemma4
