// How far a float32 result may be from its definition, derived from the arithmetic.
//
// u = 2^-24 is the relative error of one float32 rounding. A sum of n products accumulated in any
// order, each step rounded once, errs by at most γ·Σ|a_i·b_i|. The worst case is γ = n·u; roundings
// are independent in sign, so with a probability of failure below 2·exp(-λ²/2) per element it is
// λ·√n·u (Higham and Mary 2019). λ = 6 makes that 3e-8, so a test with a million elements is quiet.
// Chains of m single roundings (a multiply, an add, one exp of a few ulp) add m·u of the magnitude.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace gemma4::testing {

struct Tolerance {
  static constexpr double kUnit = 0x1p-24;
  static constexpr double kLambda = 6;

  double gamma = 0;  // relative to the magnitude of what was added up

  // A sum of `length` products, and `roundings` single operations around it.
  static Tolerance sum(int64_t length, int roundings = 2) {
    return {kUnit * (kLambda * std::sqrt(static_cast<double>(length)) + roundings)};
  }
  static Tolerance roundings(int count) { return {kUnit * count}; }
  // The inputs were already off by `other`.
  Tolerance then(Tolerance other) const { return {gamma + other.gamma}; }

  // Below the smallest normal number, roundings are absolute: allow a few thousand of them.
  double bound(double magnitude) const { return gamma * magnitude + 0x1p-149 * 4096; }
};

// Compares element by element; magnitude(i) is Σ|a·b| of element i. Reports the worst element.
template <typename Magnitude>
::testing::AssertionResult all_near(std::span<const float> out, std::span<const float> reference,
                                    Tolerance tolerance, Magnitude&& magnitude) {
  if (out.size() != reference.size())
    return ::testing::AssertionFailure() << out.size() << " against " << reference.size();
  double worst = 0;
  size_t where = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const double error = std::abs(static_cast<double>(out[i]) - reference[i]);
    const double bound = tolerance.bound(magnitude(i));
    const double share = std::isfinite(error) && std::isfinite(bound)
                             ? error / bound
                             : std::numeric_limits<double>::infinity();
    if (share > worst) {
      worst = share;
      where = i;
    }
  }
  if (worst <= 1) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "worst element " << where << " of " << out.size() << ": " << out[where] << ", expected "
         << reference[where] << " within " << tolerance.bound(magnitude(where)) << "; it is "
         << worst << " times that far off";
}

// The magnitude of an element is its own value: nothing cancels.
inline ::testing::AssertionResult all_near(std::span<const float> out,
                                           std::span<const float> reference, Tolerance tolerance) {
  return all_near(out, reference, tolerance,
                  [&](size_t i) { return std::abs(static_cast<double>(reference[i])); });
}

}  // namespace gemma4::testing
