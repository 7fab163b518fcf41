#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/check.h"
#include "base/splitmix.h"
#include "base/strings.h"

namespace gemma4::engine {
namespace {

using Candidate = kernels::RankedLogit;

// Most probable first; equal logits by rising id, so that ties cannot depend on the selection
// algorithm.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

constexpr float kNever = -std::numeric_limits<float>::infinity();

void apply_penalties(std::vector<float>& logits, const SamplingParams& params,
                     std::span<const int32_t> prompt, std::span<const int32_t> generated) {
  if (params.repetition_penalty != 1.0f) {
    std::vector<int32_t> seen(prompt.begin(), prompt.end());
    seen.insert(seen.end(), generated.begin(), generated.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const int32_t id : seen) {
      float& logit = logits[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    }
  }
  if (params.presence_penalty != 0 || params.frequency_penalty != 0) {
    std::unordered_map<int32_t, int32_t> counts;
    for (const int32_t id : generated) ++counts[id];
    for (const auto& [id, count] : counts)
      logits[static_cast<size_t>(id)] -=
          params.presence_penalty + params.frequency_penalty * static_cast<float>(count);
  }
}

bool may_come(std::span<const uint32_t> allowed, int32_t id) {
  const auto i = static_cast<size_t>(id);
  return (allowed[i / 32] >> (i % 32) & 1) != 0;
}

void apply_mask(std::vector<float>& logits, std::span<const uint32_t> allowed) {
  for (size_t i = 0; i < logits.size(); ++i) {
    // Damaged weights make NaN, to which even a forbidden token would not lose.
    logits[i] = !may_come(allowed, static_cast<int32_t>(i)) ? kNever
                : std::isnan(logits[i])                     ? std::numeric_limits<float>::lowest()
                                                            : logits[i];
  }
}

// Values, not just who may come
bool changes_values(const SamplingParams& params) {
  return !params.logit_bias.empty() || params.repetition_penalty != 1.0f ||
         params.presence_penalty != 0 || params.frequency_penalty != 0;
}

// The first of the best; NaN (damaged weights) never wins against a number.
int32_t argmax(std::span<const float> logits) {
  size_t best_idx = 0;
  for (size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best_idx] || std::isnan(logits[best_idx])) best_idx = i;
  return static_cast<int32_t>(best_idx);
}

// The `count` best of all logits, most probable first.
std::vector<Candidate> best(std::span<const float> logits, size_t count) {
  // Damaged weights make NaN, which would break the order that sorting relies on.
  const auto candidate = [&](size_t i) {
    return Candidate{std::isnan(logits[i]) ? kNever : logits[i], static_cast<int32_t>(i)};
  };
  std::vector<Candidate> all;
  if (count >= logits.size()) {
    all.reserve(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) all.push_back(candidate(i));
    std::sort(all.begin(), all.end(), before);
    return all;
  }
  // One pass that keeps twice as many as needed and cuts back: linear, and cheap for small counts.
  float floor = kNever;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] < floor) continue;
    all.push_back(candidate(i));
    if (all.size() == 2 * count + 64) {
      std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count - 1), all.end(),
                       before);
      all.resize(count);
      floor = std::min_element(all.begin(), all.end(), [](auto& a, auto& b) {
                return a.logit < b.logit;
              })->logit;
    }
  }
  std::sort(all.begin(), all.end(), before);
  all.resize(std::min(all.size(), count));
  return all;
}

// Cuts the sorted candidates by top-p and min-p, then draws one.
int32_t draw(std::vector<Candidate> candidates, const SamplingParams& params, double random) {
  std::vector<double> mass(candidates.size());
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i)
    total += mass[i] = std::exp((static_cast<double>(candidates[i].logit) - candidates[0].logit) /
                                params.temperature);

  size_t kept = candidates.size();
  if (params.top_p < 1.0f) {
    double sum = 0;
    for (kept = 0; kept < mass.size() && sum < static_cast<double>(params.top_p) * total; ++kept)
      sum += mass[kept];
    kept = std::max<size_t>(kept, 1);
  }
  // What may never come has no mass and must not be the one that rounding leaves over.
  while (kept > 1 &&
         (mass[kept - 1] == 0 || mass[kept - 1] < static_cast<double>(params.min_p) * mass[0]))
    --kept;

  double kept_mass = 0;
  for (size_t i = 0; i < kept; ++i) kept_mass += mass[i];
  double target = random * kept_mass;
  for (size_t i = 0; i + 1 < kept; ++i) {
    if (target < mass[i]) return candidates[i].id;
    target -= mass[i];
  }
  return candidates[kept - 1].id;
}

void add_logprobs(SampledToken& token, std::span<const float> logits, int32_t count) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - max);
  const double log_total = max + std::log(total);
  token.logprob = static_cast<float>(logits[static_cast<size_t>(token.id)] - log_total);
  if (count == 0) return;
  for (const Candidate& c : best(logits, static_cast<size_t>(count)))
    token.top.push_back({c.id, static_cast<float>(c.logit - log_total)});
}

}  // namespace

double uniform(uint64_t seed, uint64_t position) {
  // Two rounds: every bit of both keys reaches every bit of the result.
  const uint64_t bits = splitmix(splitmix(seed + kSplitMixStep) + (position + 1) * kSplitMixStep);
  return static_cast<double>(bits >> 40) * 0x1p-24;
}

Status validate(const SamplingParams& params, int64_t vocab_size) {
  const auto check = [](bool good, std::string_view name, std::string_view range, double value) {
    if (good) return Status();
    return Status(
        Error{ErrorCode::kInvalidArgument, str_cat(name, " must be ", range, ", got ", value)});
  };
  struct Ranged {
    std::string_view name;
    double value;
    const Range& range;
  };
  for (const auto& [name, value, range] : {
           Ranged{"temperature", params.temperature, kTemperatureRange},
           Ranged{"top_p", params.top_p, kTopPRange},
           Ranged{"min_p", params.min_p, kMinPRange},
           Ranged{"repetition_penalty", params.repetition_penalty, kRepetitionPenaltyRange},
           Ranged{"presence_penalty", params.presence_penalty, kPenaltyRange},
           Ranged{"frequency_penalty", params.frequency_penalty, kPenaltyRange},
       })
    G4_RETURN_IF_ERROR(check(range.holds(value), name, range.text, value));
  G4_RETURN_IF_ERROR(check(params.top_k >= 0, "top_k", "0 (off) or more", params.top_k));
  G4_RETURN_IF_ERROR(check(params.num_logprobs >= -1 && params.num_logprobs <= 100, "logprobs",
                           "from 0 to 100", params.num_logprobs));
  for (const auto& [id, bias] : params.logit_bias) {
    G4_RETURN_IF_ERROR(check(id >= 0 && id < vocab_size, "a token id of logit_bias",
                             str_cat("below ", vocab_size), id));
    G4_RETURN_IF_ERROR(
        check(bias >= -1000 && bias <= 1000, "a value of logit_bias", "from -1000 to 1000", bias));
  }
  for (const int32_t id : params.suppress_tokens)
    G4_RETURN_IF_ERROR(check(id >= 0 && id < vocab_size, "a suppressed token id",
                             str_cat("below ", vocab_size), id));
  if (static_cast<int64_t>(params.suppress_tokens.size()) >= vocab_size)
    return Error{ErrorCode::kInvalidArgument, "suppress_tokens leaves no token to sample"};
  return {};
}

SampledToken sample(std::span<const float> logits, const SamplingParams& params,
                    std::span<const int32_t> prompt, std::span<const int32_t> generated,
                    int64_t position, std::span<const uint32_t> allowed) {
  G4_CHECK(!logits.empty());
  std::vector<float> changed;
  std::span<const float> scores = logits;
  if (changes_values(params) || !params.suppress_tokens.empty() || !allowed.empty()) {
    changed.assign(logits.begin(), logits.end());
    for (const int32_t id : params.suppress_tokens) changed[static_cast<size_t>(id)] = kNever;
    for (const auto& [id, bias] : params.logit_bias) changed[static_cast<size_t>(id)] += bias;
    apply_penalties(changed, params, prompt, generated);
    if (!allowed.empty()) apply_mask(changed, allowed);
    scores = changed;
  }
  SampledToken token;
  if (params.temperature == 0) {
    token.id = argmax(scores);
  } else {
    const size_t count = params.top_k > 0 ? static_cast<size_t>(params.top_k) : scores.size();
    token.id =
        draw(best(scores, count), params, uniform(params.seed, static_cast<uint64_t>(position)));
  }
  if (params.num_logprobs >= 0) add_logprobs(token, logits, params.num_logprobs);
  return token;
}

std::optional<SampledToken> sample_among(std::span<const kernels::RankedLogit> best,
                                         const SamplingParams& params, int64_t position,
                                         std::span<const uint32_t> allowed) {
  const bool needs_all = params.temperature != 0 && params.top_k == 0;
  if (changes_values(params) || params.num_logprobs >= 0 || needs_all) return std::nullopt;
  const auto wanted = static_cast<size_t>(params.temperature == 0 ? 1 : params.top_k);
  const auto& suppressed = params.suppress_tokens;
  std::vector<Candidate> candidates;
  for (const Candidate& candidate : best) {
    if (candidate.logit == kNever) return std::nullopt;  // damaged weights; or the end
    if (std::find(suppressed.begin(), suppressed.end(), candidate.id) != suppressed.end()) continue;
    if (!allowed.empty() && !may_come(allowed, candidate.id)) continue;
    candidates.push_back(candidate);
    if (candidates.size() < wanted) continue;
    if (params.temperature == 0) return SampledToken{.id = candidate.id};
    const double random = uniform(params.seed, static_cast<uint64_t>(position));
    return SampledToken{.id = draw(std::move(candidates), params, random)};
  }
  return std::nullopt;
}

}  // namespace gemma4::engine
