// From logits to one token: a chain of processors, then one draw whose randomness is keyed by
// (seed, position). The same seed gives the same tokens whatever else is in the batch.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kernels/table.h"

namespace gemma4::engine {

// The values a parameter may have. NaN is in none.
struct Range {
  const char* text;  // after "must be"
  bool (*holds)(double);
};
inline constexpr Range kTemperatureRange{"from 0 to 100",
                                         [](double v) { return v >= 0 && v <= 100; }};
inline constexpr Range kTopPRange{"above 0 and at most 1",
                                  [](double v) { return v > 0 && v <= 1; }};
inline constexpr Range kMinPRange{"at least 0 and below 1",
                                  [](double v) { return v >= 0 && v < 1; }};
inline constexpr Range kRepetitionPenaltyRange{"above 0 and at most 100",
                                               [](double v) { return v > 0 && v <= 100; }};
inline constexpr Range kPenaltyRange{"from -100 to 100",
                                     [](double v) { return v >= -100 && v <= 100; }};

// Order of processing, as in the reference: suppression and bias, penalties, temperature, top-k,
// top-p, min-p, one multinomial draw.
struct SamplingParams {
  float temperature = 1.0f;         // 0 = greedy: the most probable token
  int32_t top_k = 64;               // >= 0; 0 = off
  float top_p = 0.95f;              // smallest set of most probable tokens reaching this mass
  float min_p = 0.0f;               // drop tokens below min_p times the best one's probability
  float repetition_penalty = 1.0f;  // divides positive, multiplies negative logits of seen tokens
  float presence_penalty = 0.0f;    // subtracted once for every token generated before
  float frequency_penalty = 0.0f;   // subtracted per occurrence among the generated tokens
  std::vector<std::pair<int32_t, float>> logit_bias;  // added to these tokens' logits
  std::vector<int32_t> suppress_tokens;               // never sampled
  uint64_t seed = 0;
  int32_t num_logprobs = -1;  // -1 = none; n >= 0: the sampled token's and the n best tokens'
};

// kInvalidArgument naming the parameter, its range and the value given.
Status validate(const SamplingParams& params, int64_t vocab_size);

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural logarithm, of the model's own distribution (before any processing)
};

struct SampledToken {
  int32_t id = 0;
  float logprob = 0;              // only with num_logprobs >= 0
  std::vector<TokenLogprob> top;  // falling; only with num_logprobs > 0
};

// Draws the token at `position` (0-based, in the whole sequence). `prompt` and `generated` are the
// tokens before it. `logits` [V] are not changed. `allowed`: bit i % 32 of word i / 32 says whether
// id i may be drawn, at least one is set; empty: all may.
SampledToken sample(std::span<const float> logits, const SamplingParams& params,
                    std::span<const int32_t> prompt, std::span<const int32_t> generated,
                    int64_t position, std::span<const uint32_t> allowed = {});

// The same token from the `best` logits alone, largest first, equal ones by rising id, an id of -1
// past their end; nothing where they do not decide it.
std::optional<SampledToken> sample_among(std::span<const kernels::RankedLogit> best,
                                         const SamplingParams& params, int64_t position,
                                         std::span<const uint32_t> allowed = {});

// A number in [0, 1) that depends on the two keys alone; 24 bits, so it is exact in float32.
double uniform(uint64_t seed, uint64_t position);

}  // namespace gemma4::engine
