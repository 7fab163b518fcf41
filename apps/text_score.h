// What logits say about a text: how surprised a model is by its tokens, and how far two models are
// apart. All arithmetic in double.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gemma4::apps {

// -ln softmax(logits)[id], in nats; logits [V], id in [0, V). Not finite where they are no numbers.
double negative_log_likelihood(std::span<const float> logits, int32_t id);

// One position under two models.
struct PairScore {
  double nll = 0;           // of the model
  double baseline_nll = 0;  // of the baseline
  // KL(baseline || model) = Σ p · ln(p / q), p of the baseline, q of the model; at least 0, and
  // exactly 0 for equal logits.
  double divergence = 0;
  bool same_best = false;  // both have the same most probable token (of several, the first)
};
// logits and baseline [V]
PairScore score_pair(std::span<const float> logits, std::span<const float> baseline, int32_t id);

// The mean of values that are taken to be independent of each other.
struct Mean {
  double value = 0;
  double standard_error = 0;  // 0 for fewer than two values
};
Mean mean_of(std::span<const double> values);

// The least of the `values`, at least one, that no more than 1 - `share` of them exceed; share in
// (0, 1]. Their order is lost.
double quantile(std::span<double> values, double share);

}  // namespace gemma4::apps
