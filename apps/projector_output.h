// Writes the vision and audio towers of a model as a projector file (mmproj) beside its GGUF file.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "apps/gguf_output.h"
#include "base/result.h"
#include "model/config.h"

namespace CLI {
class App;
}

namespace gemma4::apps {

struct ProjectorArguments {
  bool leave_out = false;
  std::string type;  // of the matrices; empty: as they are
};
// --no-mmproj, --mmproj-type
void add_projector_output_arguments(CLI::App& command, ProjectorArguments& arguments);

// A projector file that goes again unless the file of its model gets there too.
class ProjectorFile {
 public:
  struct Content {
    const model::Config& config;
    const WeightSource& source;  // has the towers' tensors under their published names
    std::string name;            // for the metadata
  };
  // Writes the file that find_projector takes for the model file `model_path`; null when there is
  // nothing to write. Interrupted or failed, nothing is left.
  static Result<std::unique_ptr<ProjectorFile>> write(const std::string& model_path,
                                                      const Content& content,
                                                      const ProjectorArguments& arguments);
  ~ProjectorFile();
  ProjectorFile(const ProjectorFile&) = delete;
  ProjectorFile& operator=(const ProjectorFile&) = delete;

  // Keeps the file, and prints what was written.
  void keep();

 private:
  ProjectorFile(std::string path, std::string summary)
      : path_(std::move(path)), summary_(std::move(summary)) {}
  std::string path_;  // empty: nothing to remove
  std::string summary_;
};

}  // namespace gemma4::apps
