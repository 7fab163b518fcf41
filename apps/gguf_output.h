// Writes a text model as a GGUF file: its metadata, then every weight in the type chosen for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/weight_importance.h"
#include "apps/weight_types.h"
#include "base/result.h"
#include "io/gguf_writer.h"
#include "model/gguf_export.h"
#include "model/model.h"

namespace gemma4::apps {

// Where weights come from. Methods are called from several threads at once.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual DType stored_type(const model::GgufTensorEntry& tensor) const = 0;
  // Rows [begin, begin + count) as they are stored; empty when they are computed.
  virtual std::span<const std::byte> stored_rows(const model::GgufTensorEntry& tensor,
                                                 int64_t begin, int64_t count) const = 0;
  // The same rows widened to float32.
  virtual void read_rows(const model::GgufTensorEntry& tensor, int64_t begin, int64_t count,
                         float* out) const = 0;
};

// The weights of a checkpoint that was opened and checked.
class StoredWeights : public WeightSource {
 public:
  explicit StoredWeights(const io::TensorStore& store) : store_(store) {}
  DType stored_type(const model::GgufTensorEntry& tensor) const override;
  std::span<const std::byte> stored_rows(const model::GgufTensorEntry& tensor, int64_t begin,
                                         int64_t count) const override;
  void read_rows(const model::GgufTensorEntry& tensor, int64_t begin, int64_t count,
                 float* out) const override;

 private:
  const io::TensorStore& store_;
};

struct GgufOutput {
  std::string path;  // checked by new_output_path
  io::GgufHeader metadata;
  bool keeps_file_type = false;  // general.file_type is in the metadata, if anywhere
  std::vector<model::GgufTensorEntry> tensors;
  std::vector<float> rope_divisors;
  WeightImportance importance = {};  // what quantisers know of the inputs
  int threads = 0;                   // 0: one per core
};
// Prints what was written. Interrupted or failed, nothing is left at the path.
Status write_gguf(GgufOutput output, const WeightSource& source, WeightTypes types);

// `path` without slashes at its end, when nothing is there yet and its folder is.
Result<std::string> new_output_path(const std::string& path);

}  // namespace gemma4::apps
