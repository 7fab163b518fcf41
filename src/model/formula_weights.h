// Weights that follow from a tensor's name by a formula, so that checkpoints of any size can be
// made anywhere without downloading anything: for conformance tests and benchmarks of real shapes.
//
// Element i (row-major) of tensor NAME: h = FNV-1a-64(NAME); SplitMix64 of h + (i +
// 1)·0x9E3779B97F4A7C15; its top 24 bits as w in [-1, 1); value = offset + scale · w in float32.
// Offset and scale depend on the kind of tensor (its name's last part and its shape).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace gemma4::model {

struct OffsetScale {
  float offset = 0;
  float scale = 1;
};
OffsetScale formula_offset_scale(std::string_view name, std::span<const int64_t> shape);

uint64_t fnv1a_64(std::string_view text);

// w of element `index` for a name's hash, in [-1, 1).
float formula_unit(uint64_t name_hash, uint64_t index);

// Elements [begin, begin + out.size()) rounded to bfloat16.
void formula_bf16(std::string_view name, std::span<const int64_t> shape, uint64_t begin,
                  std::span<uint16_t> out);

}  // namespace gemma4::model
