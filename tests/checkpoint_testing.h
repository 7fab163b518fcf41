// Folders and checkpoints that a test may write to and damage; they go with the test.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gemma4 {

inline const std::string kDemo = std::string(GEMMA4_SOURCE_DIR) + "/models/demo";
inline const std::string kGoldens = std::string(GEMMA4_SOURCE_DIR) + "/tests/golden";

// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  std::vector<std::string> files() const;

 private:
  std::filesystem::path path_;
};

std::string read_whole(const std::string& path);
void write_whole(const std::string& path, std::string_view text);
// Compiled once: the parser is a template that costs each file using it 2 s. Throws on bad JSON.
nlohmann::ordered_json parse_json(const std::string& text);

// A checkpoint folder that a test may damage: configuration and weights of tiny-31b.
class Checkpoint {
 public:
  Checkpoint();
  void write_weights() const;
  void write_config() const { write_whole(folder_ / "config.json", config.dump()); }
  std::string path() const { return folder_.path(); }
  std::string weights() const { return folder_ / "model.safetensors"; }
  std::string operator/(const std::string& name) const { return folder_ / name; }

  nlohmann::ordered_json header;
  std::string data;
  nlohmann::ordered_json config;

 private:
  TemporaryFolder folder_;
};
constexpr const char* kTensor = "model.language_model.layers.1.mlp.up_proj.weight";  // one of it

// Makes the folder `model` in `folder`: the shapes of a tiny golden that sees, weights by the
// formula, and the demo model's vocabulary.
void make_seeing_model(const std::string& golden, const TemporaryFolder& folder);

}  // namespace gemma4
