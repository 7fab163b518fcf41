// Matrix products of the shapes of Gemma 4 E2B and their types, beside what the machine can do:
// bytes/s of weights for few tokens, operations/s for many.

#include <benchmark/benchmark.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/packed.h"
#include "kernels/registry.h"

namespace gemma4 {
namespace {

struct Memory {
  explicit Memory(size_t bytes)
      : data(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64))) {}
  ~Memory() { std::free(data); }
  std::byte* data;
};

// A weight of random bits; scales and floats are ordinary numbers, since denormal ones are slow.
void fill(Memory& memory, const Matrix& matrix, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto bytes = static_cast<size_t>(matrix.bytes());
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    uint64_t bits = random();
    if (matrix.dtype == DType::kBF16) bits = (bits & 0x80ff80ff80ff80ffu) | 0x3f003f003f003f00u;
    std::memcpy(memory.data + i, &bits, 8);
  }
  const DTypeInfo info = info_of(matrix.dtype);
  const uint16_t one = 0x2c00;  // 1/16 in f16
  if (info.block_elements > 1)
    for (size_t i = 0; i < bytes; i += static_cast<size_t>(info.block_bytes))
      std::memcpy(memory.data + i, &one, sizeof one);
}

void product(benchmark::State& state, DType dtype, int64_t tokens, int64_t cols, int64_t rows,
             bool packed) {
  const auto device = kernels::open_cpu_device({.pinning = ThreadPool::Pinning::kOneCpuEach});
  if (!device.ok()) return state.SkipWithError(device.error().message.c_str());
  Matrix matrix{nullptr, dtype, rows, cols};
  // Copies that together leave no cache room for the next one.
  const auto copies =
      std::max<int64_t>(1, (tokens > 4 ? int64_t{1} : (int64_t{1200} << 20) / matrix.bytes()));
  const auto bytes = static_cast<size_t>(matrix.bytes());
  Memory rows_memory(bytes), all(bytes * static_cast<size_t>(copies));
  fill(rows_memory, matrix, 1);
  matrix.data = rows_memory.data;
  for (int64_t i = 0; i < copies; ++i) {
    std::byte* copy = all.data + static_cast<size_t>(i) * bytes;
    if (packed)
      kernels::pack_rows(matrix, 0, rows, copy);
    else
      std::memcpy(copy, rows_memory.data, bytes);
  }
  std::vector<float> x(static_cast<size_t>(tokens * cols), 0.5f),
      out(static_cast<size_t>(tokens * rows));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) - 8.0f;
  int64_t i = 0;
  for (auto _ : state) {
    const std::byte* copy = all.data + static_cast<size_t>(i++ % copies) * bytes;
    Matrix weight = matrix;
    (packed ? weight.packed : weight.data) = copy;
    if (packed) weight.packed_row_bytes = weight.row_bytes();
    device.value()->table().linear(device.value()->queue(), {out.data(), x.data(), tokens, weight});
  }
  const auto steps = static_cast<double>(state.iterations());
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(bytes) * 1e-9 * steps, benchmark::Counter::kIsRate);
  state.counters["GOP/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(tokens * rows * cols) * steps, benchmark::Counter::kIsRate);
}

void add_all() {
  struct Shape {
    const char* name;
    int64_t cols, rows;
  };
  for (const auto& [type, packed] : {std::pair{DType::kBF16, false}, std::pair{DType::kQ4_0, true},
                                     std::pair{DType::kQ8_0, true}})
    for (const Shape& shape :
         {Shape{"q_proj", 1536, 2048}, Shape{"gate", 1536, 6144}, Shape{"down", 12288, 1536}})
      for (const int64_t tokens : {1, 4, 16, 512}) {
        const std::string name =
            std::string(name_of(type)) + "/" + shape.name + "/" + std::to_string(tokens);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [=, type = type, packed = packed](benchmark::State& state) {
                                       product(state, type, tokens, shape.cols, shape.rows, packed);
                                     })
            ->UseRealTime()
            ->MinTime(0.3);
      }
}

}  // namespace
}  // namespace gemma4

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  gemma4::add_all();
  benchmark::RunSpecifiedBenchmarks();
}
