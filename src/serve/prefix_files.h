// Prefixes kept as files, so that a restarted server knows them (docs/adr/0045).
//
//   G4_ASSIGN_OR_RETURN(options.prefix_archive,
//                       PrefixFiles::open({.folder = "/var/cache/gemma4", .identity = …}));
//
// A file appears whole or not at all, and is believed only if its checksum and its identity are
// right; others are removed. Several servers may share a folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/prefix_archive.h"

namespace gemma4::serve {

class PrefixFiles final : public engine::PrefixArchive {
 public:
  struct Options {
    std::string folder;  // made if it is not there; its parent must be
    // All that keys and values depend on besides the tokens: see identity_of_files().
    std::string identity;
    int64_t max_bytes = int64_t{4} << 30;  // of all files; those written first are removed
  };
  // Errors: kIo where the folder cannot be made or written.
  static Result<std::shared_ptr<PrefixFiles>> open(const Options& options);

  // What cannot be written is logged and left out.
  void save(const engine::SavedPrefix& prefix) override;
  std::optional<engine::SavedPrefix> next() override;

 private:
  explicit PrefixFiles(const Options& options);
  std::string path_of(const engine::SavedPrefix& prefix) const;
  void make_room(int64_t bytes) const;

  Options options_;
  std::string stem_;                                 // names of files of this identity begin so
  std::vector<std::filesystem::path> to_read_ = {};  // oldest first
};

// Names, sizes, times of change and the first and last bytes of the files of a model: other weights
// under the same name are another model.
Result<std::string> identity_of_files(const std::string& path);

}  // namespace gemma4::serve
