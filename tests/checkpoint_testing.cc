#include "tests/checkpoint_testing.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/program_testing.h"

namespace gemma4 {

TemporaryFolder::TemporaryFolder() {
  std::string name = std::filesystem::temp_directory_path() / "gemma4-program-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
}

std::vector<std::string> TemporaryFolder::files() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path_))
    names.push_back(std::filesystem::relative(entry.path(), path_).string());
  return names;
}

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_whole(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

nlohmann::ordered_json parse_json(const std::string& text) {
  return nlohmann::ordered_json::parse(text);
}

Checkpoint::Checkpoint() {
  for (const char* name : {"config.json", "model.safetensors", "generation_config.json"})
    std::filesystem::copy_file(kGoldens + "/tiny-31b/" + name, folder_ / name);
  const std::string file = read_whole(weights());
  uint64_t size = 0;
  std::memcpy(&size, file.data(), sizeof size);
  header = parse_json(file.substr(8, size));
  data = file.substr(8 + size);
  config = parse_json(read_whole(folder_ / "config.json"));
}

void Checkpoint::write_weights() const {
  const std::string text = header.dump();
  const uint64_t size = text.size();
  std::string file(reinterpret_cast<const char*>(&size), sizeof size);
  write_whole(weights(), file + text + data);
}

void make_seeing_model(const std::string& golden, const TemporaryFolder& folder) {
  nlohmann::ordered_json config = parse_json(read_whole(kGoldens + "/" + golden + "/config.json"));
  const nlohmann::ordered_json demo = parse_json(read_whole(kDemo + "/config.json"));
  for (const auto& [key, value] : demo.items())
    if (key.ends_with("_token_id") || key.ends_with("_token_index")) config[key] = value;
  for (const char* key : {"vocab_size", "vocab_size_per_layer_input"})
    config["text_config"][key] = demo["text_config"][key];
  if (config["vision_config"].contains("position_embedding_size"))
    config["vision_config"]["position_embedding_size"] = 256;  // for 1120 soft tokens
  write_whole(folder / "config.json", config.dump());
  const Outcome made = run_program({"synth", folder / "config.json", folder / "model"});
  ASSERT_EQ(made.exit_code, 0) << testing::PrintToString(made);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    std::filesystem::copy_file(kDemo + "/" + file, folder / (std::string("model/") + file));
}

}  // namespace gemma4
