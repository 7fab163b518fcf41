#include "apps/text_score.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace gemma4::apps {
namespace {

double largest_of(std::span<const float> logits) {
  return static_cast<double>(*std::ranges::max_element(logits));
}

}  // namespace

double negative_log_likelihood(std::span<const float> logits, int32_t id) {
  const double largest = largest_of(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(id)]);
}

PairScore score_pair(std::span<const float> logits, std::span<const float> baseline, int32_t id) {
  G4_CHECK_EQ(logits.size(), baseline.size());
  const auto best = std::ranges::max_element(logits);
  const auto baseline_best = std::ranges::max_element(baseline);
  double sum = 0, baseline_sum = 0;
  double difference = 0;  // Σ exp(l) · (l - l'), both divided by the largest probability
  for (size_t i = 0; i < logits.size(); ++i) {
    const double l = static_cast<double>(baseline[i]), other = static_cast<double>(logits[i]);
    const double weight = std::exp(l - static_cast<double>(*baseline_best));
    sum += std::exp(other - static_cast<double>(*best));
    baseline_sum += weight;
    if (weight > 0) difference += weight * (l - other);
  }
  const double log_sum = static_cast<double>(*best) + std::log(sum);
  const double baseline_log_sum = static_cast<double>(*baseline_best) + std::log(baseline_sum);
  const double divergence = difference / baseline_sum + log_sum - baseline_log_sum;
  const auto index = static_cast<size_t>(id);
  return {.nll = log_sum - static_cast<double>(logits[index]),
          .baseline_nll = baseline_log_sum - static_cast<double>(baseline[index]),
          .divergence = divergence < 0 ? 0 : divergence,  // by rounding
          .same_best = best - logits.begin() == baseline_best - baseline.begin()};
}

Mean mean_of(std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  if (values.empty()) return {};
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() < 2 ? 0 : std::sqrt(squares / (count - 1) / count)};
}

double quantile(std::span<double> values, double share) {
  G4_CHECK(!values.empty() && share > 0 && share <= 1);
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::ranges::nth_element(values, place);
  return *place;
}

}  // namespace gemma4::apps
