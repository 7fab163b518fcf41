// Any bytes as an importance matrix: refused with one line, or entries whose sizes fit.
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "model/imatrix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using gemma4::model::ImportanceMatrix;
  const auto matrix = ImportanceMatrix::parse(std::as_bytes(std::span(data, size)));
  if (!matrix.ok()) {
    G4_CHECK(!matrix.error().message.empty());
    G4_CHECK(matrix.error().message.find('\n') == std::string::npos);
    return 0;
  }
  for (const auto& [name, sums] : matrix.value().entries) {
    const int64_t matrices = sums.num_matrices(), cols = sums.cols();
    G4_CHECK_EQ(matrices * cols, static_cast<int64_t>(sums.squares.size()));
    const auto importance =
        gemma4::model::column_importance(sums, {name, name, {matrices, 1, cols}, true});
    // Of one matrix, a tensor with two dimensions is the same.
    G4_CHECK(importance.ok());
    for (const float mean : importance.value()) G4_CHECK_LE(0.0f, mean);
  }
  return 0;
}
