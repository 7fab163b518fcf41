// Numbers that towers compute with and that no checkpoint holds.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gemma4::model {

// [head_dim / 4]: frequencies of the rotation of a picture's patches, the same for both axes.
// Source: vision.md, section 9.
std::vector<float> axis_frequencies(int64_t head_dim);

// [distances, width]: rows are distances δ, [sin(δ·τ_0) … sin(δ·τ_n), cos(δ·τ_0) …] with τ from 1
// down to 1/10000. Source: audio.md, section 9.
std::vector<float> distance_sinusoids(int64_t distances, int64_t width);
// [head_dim]: what the audio tower's queries are multiplied by, of its learned `per_dim_scale`.
std::vector<float> query_scales(std::span<const float> per_dim_scale);
// What its keys are multiplied by.
float key_scale();

}  // namespace gemma4::model
