// Gathers an importance matrix while a model computes: a tape that adds up the squares of the
// inputs of every product with a weight.
//
//   ImportanceCollector collector(model, device);
//   const ops::Context ctx{…, .tape = &collector};
//   text_forward(ctx, …);
//   G4_ASSIGN_OR_RETURN(auto entries, collector.entries());
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/device.h"
#include "model/imatrix.h"
#include "model/model.h"
#include "ops/context.h"

namespace gemma4::model {

class ImportanceCollector : public ops::Tape {
 public:
  // Both must outlive the collector; `device` is where the model computes.
  ImportanceCollector(const Model& model, kernels::Device& device);

  void record(std::string_view entry, const void* args, size_t args_bytes) override;

  // Of all weights that took part in a product so far, by GGUF's names. Errors: those of the device
  // while recording.
  Result<std::map<std::string, ColumnSums, std::less<>>> entries() const;

 private:
  struct Sums {
    std::string name;
    int64_t num_matrices = 1, cols = 0;
    std::vector<double> squares;  // [num_matrices, cols]
    std::vector<int64_t> counts;  // [num_matrices]
  };
  Sums* find(const Matrix& weight);
  static void add(Sums& sums, int64_t matrix, const float* x, int64_t rows);
  void record_linear(const kernels::LinearArgs& args);
  Status record_experts(const kernels::ExpertsArgs& args);
  Status record_down(const kernels::ExpertsArgs& args, int64_t expert, int64_t rows);
  // `count` floats or ids, wherever they lie.
  template <typename T>
  std::vector<T> read(const T* values, int64_t count);

  kernels::Device& device_;
  std::vector<Sums> sums_;                         // by weight
  std::map<const std::byte*, size_t> by_address_;  // of a weight's bytes, plain or packed
  std::vector<float> gathered_;                    // inputs of one expert
  Status status_;
};

}  // namespace gemma4::model
