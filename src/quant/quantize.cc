// Rows into any type: the plain floats, and the choice of the block type.

#include "quant/quantize.h"

#include <cstring>

#include "base/check.h"
#include "quant/quantize_blocks.h"

namespace gemma4::quant {
namespace {

template <typename Narrow>
void narrow_row(const float* row, int64_t count, void* out, Narrow narrow) {
  auto* bytes = static_cast<std::byte*>(out);
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t bits = narrow(row[i]);
    std::memcpy(bytes + i * static_cast<int64_t>(sizeof bits), &bits, sizeof bits);
  }
}

}  // namespace

bool can_quantize(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ4_0:
    case DType::kQ8_0:
    case DType::kIQ4_NL:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return true;
    default:
      return false;
  }
}

void quantize_row(DType type, const float* row, int64_t count, const float* importance, void* out) {
  G4_CHECK(can_quantize(type));
  G4_CHECK_EQ(count % info_of(type).block_elements, 0);
  switch (type) {
    case DType::kF16:
      return narrow_row(row, count, out, f32_to_f16);
    case DType::kBF16:
      return narrow_row(row, count, out, f32_to_bf16);
    case DType::kQ4_0:
      return quantize_q4_0(row, count, importance, static_cast<BlockQ4_0*>(out));
    case DType::kQ8_0:
      return quantize_q8_0(row, count, importance, static_cast<BlockQ8_0*>(out));
    case DType::kIQ4_NL:
      return quantize_iq4_nl(row, count, importance, static_cast<BlockIQ4_NL*>(out));
    case DType::kQ4_K:
      return quantize_q4_k(row, count, importance, static_cast<BlockQ4_K*>(out));
    case DType::kQ5_K:
      return quantize_q5_k(row, count, importance, static_cast<BlockQ5_K*>(out));
    case DType::kQ6_K:
      return quantize_q6_k(row, count, importance, static_cast<BlockQ6_K*>(out));
    default:
      std::memcpy(out, row, static_cast<size_t>(row_bytes(DType::kF32, count)));
  }
}

}  // namespace gemma4::quant
