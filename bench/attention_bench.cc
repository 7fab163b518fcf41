// Attention of the layers of Gemma 4 E2B over caches of every type: bytes/s of keys and values for
// one token, operations/s for a chunk of a prompt.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/registry.h"

namespace gemma4 {
namespace {

constexpr int64_t kBlockTokens = 64;
constexpr int64_t kQueryHeads = 8;  // beside one KV head

// Caches of one sequence of `keys` tokens: as many as leave none of them in the processor's.
class Caches {
 public:
  Caches(kernels::Device& device, DType dtype, int64_t dim, int64_t keys, int64_t bytes)
      : blocks_((keys + kBlockTokens - 1) / kBlockTokens) {
    const int64_t half = blocks_ * kBlockTokens * row_bytes(dtype, dim);
    count_ = std::max<int64_t>(1, bytes / (2 * half));
    memory_ = device.allocate(static_cast<size_t>(2 * half * count_)).value();
    for (int64_t i = 0; i < count_; ++i) {
      std::byte* k = memory_.get() + 2 * half * i;
      layers_.push_back({k, k + half, 1, dim, kBlockTokens, dtype});
    }
    fill(device, keys);
  }
  const kernels::KvLayer& next() { return layers_[static_cast<size_t>(turn_++ % count_)]; }
  int64_t blocks() const { return blocks_; }

 private:
  void fill(kernels::Device& device, int64_t keys) {
    std::vector<int32_t> slots(static_cast<size_t>(keys));
    std::iota(slots.begin(), slots.end(), 0);
    std::vector<float> rows(static_cast<size_t>(keys * layers_.front().head_dim));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i * 7 % 23) / 23 - 0.5f;
    for (const kernels::KvLayer& layer : layers_)
      device.table().store_kv(device.queue(),
                              {layer, rows.data(), rows.data(), slots.data(), keys});
  }

  int64_t blocks_;
  int64_t count_ = 0;
  int64_t turn_ = 0;
  kernels::Device::Memory memory_;
  std::vector<kernels::KvLayer> layers_;
};

// The last `tokens` of `depth` tokens, each of which sees at most `window` keys.
void attend(benchmark::State& state, DType dtype, int64_t dim, int64_t tokens, int64_t depth,
            int64_t window) {
  const auto device = kernels::open_cpu_device({.pinning = ThreadPool::Pinning::kOneCpuEach});
  if (!device.ok()) return state.SkipWithError(device.error().message.c_str());
  Caches caches(*device.value(), dtype, dim, depth, tokens > 1 ? 1 : int64_t{800} << 20);
  std::vector<int32_t> begin, end, blocks(static_cast<size_t>(caches.blocks()));
  std::iota(blocks.begin(), blocks.end(), 0);
  int64_t keys = 0;
  for (int64_t p = depth - tokens; p < depth; ++p) {
    begin.push_back(static_cast<int32_t>(std::max<int64_t>(0, p + 1 - window)));
    end.push_back(static_cast<int32_t>(p + 1));
    keys += end.back() - begin.back();
  }
  const std::vector<int32_t> sequence(static_cast<size_t>(tokens));
  const int32_t zero = 0;
  std::vector<float> q(static_cast<size_t>(tokens * kQueryHeads * dim), 0.1f), out(q.size());
  for (auto _ : state)
    device.value()->table().attention(device.value()->queue(), {.out = out.data(),
                                                                .q = q.data(),
                                                                .cache = caches.next(),
                                                                .key_begin = begin.data(),
                                                                .key_end = end.data(),
                                                                .sequence = sequence.data(),
                                                                .table_offset = &zero,
                                                                .table_first = &zero,
                                                                .block_table = blocks.data(),
                                                                .tokens = tokens,
                                                                .q_heads = kQueryHeads});
  const auto steps = static_cast<double>(state.iterations());
  const auto bytes = static_cast<double>(2 * std::min(depth, window) * row_bytes(dtype, dim));
  if (tokens == 1)
    state.counters["GB/s"] = benchmark::Counter(1e-9 * bytes * steps, benchmark::Counter::kIsRate);
  state.counters["GOP/s"] = benchmark::Counter(
      4e-9 * static_cast<double>(keys * kQueryHeads * dim) * steps, benchmark::Counter::kIsRate);
}

void add_all() {
  struct Shape {
    const char* name;
    int64_t dim, tokens, depth, window;
  };
  for (const Shape& shape :
       {Shape{"full/1", 512, 1, 4096, 1 << 20}, Shape{"sliding/1", 256, 1, 1024, 512},
        Shape{"full/512", 512, 512, 4096, 1 << 20}, Shape{"sliding/512", 256, 512, 1024, 512}})
    for (const DType dtype : kernels::kKvTypes) {
      const std::string name = std::string(shape.name) + "/" + std::string(name_of(dtype));
      benchmark::RegisterBenchmark(name.c_str(),
                                   [=](benchmark::State& state) {
                                     attend(state, dtype, shape.dim, shape.tokens, shape.depth,
                                            shape.window);
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
