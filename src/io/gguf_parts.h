// A model in GGUF: one file, or the parts `NAME-00001-of-0000N.gguf` of a split one. The first part
// carries the metadata, each part its own tensors.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "io/mapped_file.h"

namespace gemma4::io {

// Whether a path names a GGUF file, by its ending.
inline bool is_gguf_path(std::string_view path) { return path.ends_with(".gguf"); }

// The file that carries the metadata: the first part, when `path` is named like a part of a split
// model, else `path` itself.
std::string first_gguf_part(const std::string& path);

class GgufParts {
 public:
  // `path` may be any part. Errors: those of GgufFile::parse, naming the file; kNotFound for a part
  // that is missing; kInvalidData for parts that do not belong together.
  static Result<GgufParts> open(const std::string& path);

  const GgufFile& metadata() const { return metadata_; }  // its tensors are those of the first part
  const GgufFile::Tensors& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;  // null when absent
  // Hands the maps over; everything else points into them.
  std::vector<MappedFile> take_files() { return std::move(files_); }

 private:
  Status add_part(const std::string& path, int64_t number, int64_t count);
  std::vector<MappedFile> files_;
  GgufFile metadata_;
  GgufFile::Tensors tensors_;
};

}  // namespace gemma4::io
