// The audio tower of E2B over 30 s of sound, and what comes before it. "of peak" is the share of
// what the processor's own multiplications reach when nothing has to be loaded
// (kernels/peaks.h); operations counted are those of the matrix products. "of peak busy" counts the
// time that threads ran instead of the time that passed: what it would be with the machine alone.

#include <benchmark/benchmark.h>

#include <cmath>
#include <ctime>
#include <vector>

#include "io/mapped_file.h"
#include "kernels/peaks.h"
#include "kernels/registry.h"
#include "media/log_mel.h"
#include "model/audio_tensors.h"
#include "model/audio_tower.h"
#include "tests/tower_testing.h"

namespace gemma4 {
namespace {

std::vector<float> sweep(int64_t count) {
  std::vector<float> samples(static_cast<size_t>(count));
  for (size_t n = 0; n < samples.size(); ++n)
    samples[n] = 0.3f * std::sin(1e-6f * static_cast<float>(n) * static_cast<float>(n % 9000));
  return samples;
}

// Multiplications and additions of the linear layers for one row of time, and of the convolutions.
double operations(const model::Config& config, int64_t tokens) {
  const auto d = static_cast<double>(config.audio->hidden_size);
  const auto out = static_cast<double>(config.audio->output_proj_dims);
  const double layer =
      2 * 8 * d * d + 4 * d * d + 3 * d * d;  // feed-forward, attention, convolution
  const double row = static_cast<double>(config.audio->num_hidden_layers) * layer + d * d +
                     d * out + out * static_cast<double>(config.text.hidden_size);
  const double convolutions = 2 * 64.0 * 128 * 9 + 32.0 * 32 * 1152;  // per token
  return 2 * static_cast<double>(tokens) * (row + convolutions);
}

void features(benchmark::State& state) {
  const std::vector<float> samples = sweep(state.range(0) * media::kSampleRate);
  for (auto _ : state) benchmark::DoNotOptimize(media::log_mel(samples));
}
BENCHMARK(features)->Arg(30)->Unit(benchmark::kMillisecond);

void tower(benchmark::State& state) {
  const auto device =
      kernels::open_cpu_device({.pinning = ThreadPool::Pinning::kOneCpuEach}).value();
  const auto json =
      io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/spec/configs/e2b.json");
  const model::Config config = model::parse_config(json.value()).value();
  model::AudioWeights weights;
  const io::TensorStore store =
      testing::formula_store(model::audio_tensors(config, weights), *device->queue().pool);
  const auto loaded = model::AudioTower::create(config, store, device);
  if (!loaded.ok()) return state.SkipWithError(loaded.error().message.c_str());
  const std::vector<float> input = media::log_mel(sweep(state.range(0) * media::kSampleRate));
  const int64_t tokens = loaded.value().num_tokens(static_cast<int64_t>(input.size()) / 128);
  const kernels::Peaks peaks = kernels::measure_peaks(*device->queue().pool);
  const std::clock_t start = std::clock();
  for (auto _ : state) benchmark::DoNotOptimize(loaded.value().encode(input).value());
  const double busy = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  const double done = operations(config, tokens) * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(done * 1e-9, benchmark::Counter::kIsRate);
  state.counters["of peak"] = benchmark::Counter(done / peaks.float32, benchmark::Counter::kIsRate);
  state.counters["of peak busy"] =
      done / peaks.float32 / (busy / device->queue().pool->num_threads());
  state.counters["peak GFLOP/s"] = peaks.float32 * 1e-9;
}
BENCHMARK(tower)->Arg(1)->Arg(30)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace gemma4
