#include "model/projector_search.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/strings.h"
#include "io/gguf_parts.h"
#include "model/projector_config.h"

namespace gemma4::model {
namespace {

namespace fs = std::filesystem;

// In alphabetical order; of split files the first part.
std::vector<fs::path> files_beside(const fs::path& model) {
  std::vector<fs::path> found;
  std::error_code error;
  const fs::path folder = model.has_parent_path() ? model.parent_path() : fs::path(".");
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.find("mmproj") == name.npos || !io::is_gguf_path(name)) continue;
    const fs::path path = model.has_parent_path() ? folder / name : fs::path(name);
    if (path == model || io::first_gguf_part(path.string()) != path.string()) continue;
    if (entry->is_regular_file(error)) found.push_back(path);
    error.clear();
  }
  std::ranges::sort(found);
  return found;
}

// Empty if the file is a projector for texts of this width; else why it is not.
std::string misfit(const std::string& path, int64_t hidden_size) {
  const auto parts = io::GgufParts::open(path);
  if (!parts.ok()) return parts.error().message;
  const auto config = read_projector_config(parts.value());
  if (!config.ok()) return str_cat(path, ": ", config.error().message);
  const int64_t width = config.value().text.hidden_size;
  if (width == hidden_size) return "";
  return str_cat(path, ": belongs to another model: its vectors have ", width,
                 " elements, the model's ", hidden_size);
}

}  // namespace

std::string projector_path_of(const std::string& model_path) {
  const fs::path path(model_path);
  return path.parent_path() / ("mmproj-" + path.filename().string());
}

Result<FoundProjector> find_projector(const std::string& model_path, int64_t hidden_size) {
  const std::string first_part = io::first_gguf_part(model_path);
  const std::string by_name = projector_path_of(first_part);
  std::vector<std::string> fitting;
  std::string note;
  for (const fs::path& path : files_beside(first_part)) {
    const std::string problem = misfit(path.string(), hidden_size);
    if (problem.empty() && path == by_name) return FoundProjector{by_name, ""};
    if (problem.empty())
      fitting.push_back(path.string());
    else if (note.empty() || path == by_name)
      note = problem + "; the model goes without seeing and hearing";
  }
  if (fitting.empty()) return FoundProjector{"", note};
  if (fitting.size() == 1) return FoundProjector{fitting.front(), ""};
  std::string names;
  for (const std::string& path : fitting) names += (names.empty() ? "" : ", ") + path;
  return Error{ErrorCode::kInvalidArgument,
               str_cat(model_path, ": several projectors fit: ", names,
                       "; choose one with --mmproj FILE, or --mmproj none")};
}

}  // namespace gemma4::model
