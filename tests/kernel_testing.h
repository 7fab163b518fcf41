// What the kernel harness shares: buffers that notice stray writes, awkward values, weights at odd
// addresses, and one test case per kernel table.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/splitmix.h"
#include "base/thread_pool.h"
#include "base/view.h"
#include "kernels/registry.h"
#include "tests/tolerance.h"

namespace gemma4::kernels {
inline void PrintTo(const Table& table, std::ostream* out) { *out << table.name; }  // NOLINT: gtest
}  // namespace gemma4::kernels

namespace gemma4::testing {

// Deterministic numbers. Tests say their seed by saying their case.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * kSplitMixStep + 1) {}
  uint64_t bits() { return splitmix(state_ += kSplitMixStep); }
  int64_t below(int64_t n) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  float unit() { return static_cast<float>(static_cast<int64_t>(bits() >> 40)) * 0x1p-23f - 1; }

 private:
  uint64_t state_;
};

enum class Values {
  kOrdinary,  // in [-1, 1)
  kWorst      // also zeros of both signs, denormals, and values up to 1e15
};

inline float draw(Random& random, Values values) {
  const float x = random.unit();
  if (values == Values::kOrdinary) return x;
  switch (random.below(12)) {
    case 0:
      return 0.0f;
    case 1:
      return -0.0f;
    case 2:
      return x * 1e-40f;
    case 3:
      return x * 1e15f;
    case 4:
      return x * 1e-20f;
    default:
      return x;
  }
}

inline std::vector<float> floats(Random& random, int64_t count, Values values = Values::kOrdinary) {
  std::vector<float> out(static_cast<size_t>(count));
  for (float& x : out) x = draw(random, values);
  return out;
}

// An output with zones before and after it that no kernel may touch, at any float alignment. It
// starts out as NaN, so that an element nobody wrote is noticed too.
class Output {
 public:
  explicit Output(int64_t size, int64_t misalignment = 1)
      : size_(static_cast<size_t>(size)),
        begin_(kGuard + static_cast<size_t>(misalignment)),
        memory_(begin_ + size_ + kGuard, std::bit_cast<float>(kCanary)) {}
  Output(const std::vector<float>& values, int64_t misalignment)
      : Output(static_cast<int64_t>(values.size()), misalignment) {
    std::copy(values.begin(), values.end(), data());
  }
  ~Output() {
    for (size_t i = 0; i < memory_.size(); ++i) {
      const bool outside = i < begin_ || i >= begin_ + size_;
      if (outside && std::bit_cast<uint32_t>(memory_[i]) != kCanary)
        ADD_FAILURE() << "wrote outside the output, at element "
                      << static_cast<int64_t>(i) - static_cast<int64_t>(begin_) << " of " << size_;
    }
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  float* data() { return memory_.data() + begin_; }
  std::span<const float> values() const { return std::span(memory_).subspan(begin_, size_); }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr uint32_t kCanary = 0x7fc0dead;  // a NaN
  size_t size_;
  size_t begin_;
  std::vector<float> memory_;
};

// A weight of any type at an address with any remainder. The buffer ends with the last element, so
// that the address sanitizer sees a read beyond it.
class Weight {
 public:
  Weight(Random& random, DType dtype, int64_t rows, int64_t cols, size_t offset_bytes = 1,
         Values values = Values::kOrdinary)
      : bytes_(offset_bytes + static_cast<size_t>(rows * cols * size_of(dtype))),
        matrix_{bytes_.data() + offset_bytes, dtype, rows, cols} {
    std::byte* p = bytes_.data() + offset_bytes;
    for (int64_t i = 0; i < rows * cols; ++i, p += size_of(dtype)) {
      const float value = draw(random, values);
      if (dtype == DType::kF32) {
        std::memcpy(p, &value, sizeof value);
        continue;
      }
      uint16_t bits = f32_to_bf16(value);
      if (dtype == DType::kF16) {  // any pattern that is a number, denormals included
        bits = static_cast<uint16_t>(random.bits());
        if (values == Values::kOrdinary) bits = static_cast<uint16_t>((bits & 0x83ffu) | 0x3800u);
        if ((bits & 0x7c00u) == 0x7c00u) bits &= 0x83ffu;
      }
      std::memcpy(p, &bits, sizeof bits);
    }
  }
  const Matrix& matrix() const { return matrix_; }
  double at(int64_t row, int64_t col) const {
    return load_float(matrix_.data, matrix_.dtype, row * matrix_.cols + col);
  }

 private:
  std::vector<std::byte> bytes_;
  Matrix matrix_;
};

// Σ_k |x_k · w_nk| of every output [tokens, rows]: what the error of a product is relative to.
// `weight` has matrix() and at(row, col).
template <class AnyWeight>
std::vector<double> product_magnitudes(const std::vector<float>& x, int64_t tokens,
                                       const AnyWeight& weight) {
  const int64_t rows = weight.matrix().rows, cols = weight.matrix().cols;
  std::vector<double> sums;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t n = 0; n < rows; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < cols; ++k)
        sum +=
            std::abs(static_cast<double>(x[static_cast<size_t>(t * cols + k)]) * weight.at(n, k));
      sums.push_back(sum);
    }
  return sums;
}

inline void expect_same_bits(std::span<const float> a, std::span<const float> b,
                             const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0) << what;
}

inline constexpr DType kWeightTypes[] = {DType::kBF16, DType::kF16, DType::kF32};
inline constexpr int64_t kAwkwardCols[] = {1, 3, 17, 63, 64, 65, 1000};
inline constexpr int64_t kAwkwardTokens[] = {1, 2, 3, 5, 6, 7, 13};

// One case per vectorised table; `run` has the pool that kernels work with.
class KernelTest : public ::testing::TestWithParam<kernels::Table> {
 protected:
  const kernels::Table& table() const { return GetParam(); }
  const kernels::Table& reference() const { return kernels::reference_table(); }
  kernels::Queue queue() { return {&pool_}; }

 private:
  ThreadPool pool_{2};
};

inline std::vector<kernels::Table> tables_under_test() {
  std::vector<kernels::Table> tables = kernels::all_cpu_tables();
  tables.push_back(kernels::reference_table());  // it must keep the contract as well
  return tables;
}
inline std::string table_name(const ::testing::TestParamInfo<kernels::Table>& test) {
  return test.param.name;
}

}  // namespace gemma4::testing
