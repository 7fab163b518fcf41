// Element types of tensors, and exact conversions between the 16-bit floats and float32.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace gemma4 {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kBool,
  kF8E4M3,
  kF8E5M2,
  // Blocks of quantised weights, as in GGUF files; src/quant says what their bytes mean.
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kIQ4_NL,
  kMXFP4,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_XS,
};

struct DTypeInfo {
  std::string_view name;   // that of safetensors headers, or of GGUF's types
  int64_t block_elements;  // 1 for plain numbers
  int64_t block_bytes;
};

constexpr DTypeInfo info_of(DType dtype) {
  constexpr DTypeInfo kInfo[] = {
      {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},     {"F64", 1, 8},
      {"I8", 1, 1},       {"U8", 1, 1},       {"I16", 1, 2},      {"U16", 1, 2},
      {"I32", 1, 4},      {"U32", 1, 4},      {"I64", 1, 8},      {"U64", 1, 8},
      {"BOOL", 1, 1},     {"F8_E4M3", 1, 1},  {"F8_E5M2", 1, 1},  {"Q4_0", 32, 18},
      {"Q4_1", 32, 20},   {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q8_0", 32, 34},
      {"IQ4_NL", 32, 18}, {"MXFP4", 32, 17},  {"Q2_K", 256, 84},  {"Q3_K", 256, 110},
      {"Q4_K", 256, 144}, {"Q5_K", 256, 176}, {"Q6_K", 256, 210}, {"IQ4_XS", 256, 136},
  };
  return kInfo[static_cast<size_t>(dtype)];
}

constexpr std::string_view name_of(DType dtype) { return info_of(dtype).name; }

// Quantised in blocks: elements have no address of their own.
constexpr bool is_block_dtype(DType dtype) { return info_of(dtype).block_elements > 1; }

// Bytes of an element that is no block's.
constexpr int64_t size_of(DType dtype) {
  return is_block_dtype(dtype) ? 0 : info_of(dtype).block_bytes;
}

// Bytes of a row of `cols` elements, a whole number of blocks.
constexpr int64_t row_bytes(DType dtype, int64_t cols) {
  const DTypeInfo info = info_of(dtype);
  return cols / info.block_elements * info.block_bytes;
}

constexpr bool is_float_dtype(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// The types that weights may have.
constexpr bool is_weight_dtype(DType dtype) {
  return is_float_dtype(dtype) || is_block_dtype(dtype);
}

inline float bf16_to_f32(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// Round to nearest, ties to even; NaN stays a quiet NaN.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16_to_f32(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // zero and subnormals
  return sign != 0 ? -magnitude : magnitude;
}

// Round to nearest, ties to even; beyond 65504 by half a step or more is infinity; NaN stays a
// quiet NaN.
inline uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Subnormal: floats from 0.5 to 1 are as far apart as these halves, so the sum rounds for us.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

// Element `index` of an array of `dtype` floats that may be unaligned (mapped files promise
// nothing).
inline float load_float(const void* data, DType dtype, int64_t index) {
  const auto* bytes = static_cast<const std::byte*>(data) + index * size_of(dtype);
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return dtype == DType::kBF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

}  // namespace gemma4
