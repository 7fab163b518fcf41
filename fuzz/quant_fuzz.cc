// Any bytes as a block of every type, and any floats as a row: blocks have values, rows have finite
// ones, and a block that lies on a grid keeps them.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "quant/dequantize.h"
#include "quant/quantize.h"

namespace {

using gemma4::DType;
using gemma4::quant::kLargeBlock;

constexpr size_t kMostBytes = kLargeBlock * sizeof(float);
using Bytes = std::array<uint8_t, kMostBytes>;
using Floats = std::array<float, kLargeBlock>;

constexpr DType kTypes[] = {DType::kQ4_0,   DType::kQ4_1,   DType::kQ5_0,  DType::kQ5_1,
                            DType::kQ8_0,   DType::kIQ4_NL, DType::kMXFP4, DType::kQ2_K,
                            DType::kQ3_K,   DType::kQ4_K,   DType::kQ5_K,  DType::kQ6_K,
                            DType::kIQ4_XS, DType::kF16,    DType::kBF16,  DType::kF32};

bool all_finite(const Floats& row) {
  return std::all_of(row.begin(), row.end(), [](float v) { return std::isfinite(v); });
}

Floats passed(DType type, const Floats& row, const float* importance) {
  Bytes bytes;
  Floats result;
  gemma4::quant::quantize_row(type, row.data(), kLargeBlock, importance, bytes.data());
  gemma4::quant::dequantize_row(type, bytes.data(), kLargeBlock, result.data());
  return result;
}

void quantize_to_all(const Floats& row, const Floats& importance) {
  for (const DType type : kTypes) {
    if (!gemma4::quant::can_quantize(type) || !gemma4::is_block_dtype(type)) continue;
    G4_CHECK(all_finite(passed(type, row, nullptr)));
    G4_CHECK(all_finite(passed(type, row, importance.data())));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const DType type = kTypes[data[0] % std::size(kTypes)];
  Bytes bytes{};
  std::copy_n(data + 1, std::min(size - 1, kMostBytes), bytes.begin());
  Floats row, importance;
  gemma4::quant::dequantize_row(type, bytes.data(), kLargeBlock, row.data());
  std::memcpy(importance.data(), bytes.data(), sizeof importance);
  quantize_to_all(row, importance);
  const bool has_grid = type == DType::kQ4_0 || type == DType::kQ8_0 || type == DType::kIQ4_NL;
  if (has_grid && all_finite(row)) {
    G4_CHECK(passed(type, row, nullptr) == row);
    G4_CHECK(passed(type, row, importance.data()) == row);
  }
  return 0;
}
