// Folders of real files, which scripts fetch and tests walk through.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace gemma4::testing {

// Paths of all regular files in `folder` and below it, sorted.
inline std::vector<std::string> files_under(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace gemma4::testing
