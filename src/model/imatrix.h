// Importance matrices: how large the inputs of a model's weights were over a text, column by
// column. A column with large inputs makes more of a weight's rounding error, so quantisers count
// its errors more. The files are those that llama.cpp's tools write and read: GGUF, with the
// tensors `NAME.in_sum2` and `NAME.counts` for the weight that GGUF models call NAME.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/gguf_export.h"

namespace gemma4::model {

// Of one weight [N, cols], or of E experts' weights [E, N, cols].
struct ColumnSums {
  std::vector<float> squares;  // [E or 1, cols]: sums of x² over the inputs x of each
  std::vector<float> counts;   // [E or 1]: how many inputs

  int64_t num_matrices() const { return static_cast<int64_t>(counts.size()); }
  int64_t cols() const { return static_cast<int64_t>(squares.size()) / num_matrices(); }
};

struct ImportanceMatrix {
  std::map<std::string, ColumnSums, std::less<>> entries;  // by GGUF's names
  std::vector<std::string> datasets;                       // names of the texts
  uint32_t chunk_count = 0;
  uint32_t chunk_tokens = 0;

  // Errors, naming file and entry: kUnsupported for a file of another kind; kInvalidData for sums
  // without counts, sizes that do not fit each other, and values that are no sums of squares.
  static Result<ImportanceMatrix> load(const std::string& path);
  static Result<ImportanceMatrix> parse(std::span<const std::byte> file);
  // Nothing appears at `path` unless all is written. kInvalidData for sums that are no numbers.
  Status save(const std::string& path) const;

  // The entry that tells of a model's tensor; null when there is none. Gate and up of experts have
  // the same inputs, as have Q, K and V: the entry of another layout of the file serves as well.
  // Gives its name, too.
  std::pair<std::string, const ColumnSums*> find(std::string_view gguf_name) const;
};

// Means of x² by column, [E or 1, cols], for a tensor of that shape; an expert that no token chose
// has 1 everywhere. kInvalidArgument, naming the tensor, when the entry has other sizes.
Result<std::vector<float>> column_importance(const ColumnSums& sums, const GgufTensorEntry& tensor);

}  // namespace gemma4::model
