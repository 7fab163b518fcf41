// quantize --imatrix: which columns of a weight's errors count how much.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "io/gguf_writer.h"
#include "model/gguf_export.h"
#include "model/imatrix.h"

namespace gemma4::apps {

class WeightImportance {
 public:
  // No matrix: every column counts alike.
  WeightImportance() = default;
  // Errors: those of reading the file.
  static Result<WeightImportance> load(const std::string& path);

  // Importance [experts or 1, cols] of the columns of a tensor that is going to be of `type`; empty
  // where it is not known, or the type makes no use of it. Errors name file and tensor.
  Result<std::vector<float>> of(const model::GgufTensorEntry& tensor, DType type);
  // After all tensors: says on stderr which of them the file does not cover, and which of its
  // entries none of them took.
  void print_warnings() const;
  // Says in the metadata, with the keys of llama.cpp, that there was a matrix.
  void add_metadata(io::GgufHeader& header) const;

 private:
  std::string path_;
  std::optional<model::ImportanceMatrix> matrix_;
  std::set<std::string> used_;  // entries
  std::vector<std::string> uncovered_;
};

// Keys of add_metadata; those of a source are of no use to what is made from it.
bool is_importance_key(std::string_view key);

}  // namespace gemma4::apps
