// The vision towers of E2B and 31B at 280 soft tokens, and what comes before them: decoding and
// resizing a photograph of 12 megapixels. "of peak" is the share of what the processor's own
// multiplications of 32 bits reach when nothing has to be loaded (kernels/peaks.h); operations
// counted are those of the linear layers and of attention.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

// After <cstdio>, which it needs.
#include <jpeglib.h>

#include "base/strings.h"
#include "io/mapped_file.h"
#include "kernels/peaks.h"
#include "kernels/registry.h"
#include "media/image_processor.h"
#include "model/vision_tensors.h"
#include "model/vision_tower.h"
#include "tests/tower_testing.h"

namespace gemma4 {
namespace {

constexpr int64_t kWidth = 4000, kHeight = 3000;

// A picture with edges and gradients, as a camera would compress it: 4:2:0 at quality 90.
std::vector<std::byte> photograph() {
  std::vector<uint8_t> row(3 * kWidth);
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = kWidth;
  info.image_height = kHeight;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 90, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (int64_t y = 0; y < kHeight; ++y) {
    for (int64_t x = 0; x < kWidth; ++x) {
      const double wave = std::sin(1e-3 * static_cast<double>(x * (y % 700)));
      row[static_cast<size_t>(3 * x)] = static_cast<uint8_t>(x * 255 / kWidth);
      row[static_cast<size_t>(3 * x + 1)] = static_cast<uint8_t>(y * 255 / kHeight);
      row[static_cast<size_t>(3 * x + 2)] = static_cast<uint8_t>(128 + 100 * wave);
    }
    JSAMPROW line = row.data();
    jpeg_write_scanlines(&info, &line, 1);
  }
  jpeg_finish_compress(&info);
  const auto* const begin = reinterpret_cast<const std::byte*>(bytes);
  std::vector<std::byte> file(begin, begin + size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return file;
}

std::shared_ptr<kernels::Device> open_device() {
  return kernels::open_cpu_device({.pinning = ThreadPool::Pinning::kOneCpuEach}).value();
}

void decode(benchmark::State& state) {
  const std::vector<std::byte> file = photograph();
  for (auto _ : state) benchmark::DoNotOptimize(media::decode_image(file).value());
  state.counters["MB"] = static_cast<double>(file.size()) * 1e-6;
}
BENCHMARK(decode)->Unit(benchmark::kMillisecond)->UseRealTime();

void decode_and_resize(benchmark::State& state) {
  const std::vector<std::byte> file = photograph();
  const auto device = open_device();
  for (auto _ : state) {
    const media::Image image = media::decode_image(file).value();
    benchmark::DoNotOptimize(
        media::process_image(image, {.budget = state.range(0), .pool = device->queue().pool})
            .value());
  }
}
BENCHMARK(decode_and_resize)
    ->Arg(280)
    ->Arg(1120)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// Seconds of every entry of a kernel table that the tower uses.
using Seconds = std::map<std::string, double>;
Seconds& seconds() {
  static Seconds all;
  return all;
}

// A table's entry between two looks at the clock.
template <auto kEntry>
struct Timed;
template <class Args, void (*kernels::Table::*kEntry)(kernels::Queue, const Args&)>
struct Timed<kEntry> {
  static inline void (*original)(kernels::Queue, const Args&) = nullptr;
  static inline double* sum = nullptr;
  static void run(kernels::Queue queue, const Args& args) {
    const auto start = std::chrono::steady_clock::now();
    original(queue, args);
    *sum += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  static void wrap(kernels::Table& table, const char* name) {
    original = table.*kEntry;
    sum = &seconds()[name];
    table.*kEntry = run;
  }
};

std::shared_ptr<kernels::Device> open_timed_device() {
  using kernels::Table;
  Table table = kernels::default_table().value();
  Timed<&Table::linear>::wrap(table, "linear");
  Timed<&Table::attention>::wrap(table, "attention");
  Timed<&Table::clip>::wrap(table, "clip");
  Timed<&Table::rms_norm>::wrap(table, "norm");
  Timed<&Table::add_normed>::wrap(table, "add norm");
  Timed<&Table::gated_gelu>::wrap(table, "gelu");
  Timed<&Table::rope_axes>::wrap(table, "rope");
  Timed<&Table::store_kv>::wrap(table, "store kv");
  return kernels::make_cpu_device(table, {.pinning = ThreadPool::Pinning::kOneCpuEach});
}

// Multiplications and additions of the linear layers, and of attention.
struct Operations {
  double linear;
  double attention;
};
Operations operations(const model::VisionConfig& config, double patches) {
  const auto d = static_cast<double>(config.hidden_size);
  const auto heads = static_cast<double>(config.num_attention_heads * config.head_dim);
  const auto inner = static_cast<double>(config.intermediate_size);
  const auto layers = static_cast<double>(config.num_hidden_layers);
  return {2 * layers * patches * (4 * d * heads + 3 * d * inner),
          2 * layers * 2 * patches * patches * heads};
}

// Of the size `name`; 280 soft tokens.
void tower(benchmark::State& state, const char* name) {
  const auto device = open_timed_device();
  const auto json = io::read_file(str_cat(GEMMA4_SOURCE_DIR, "/tests/golden/spec/configs/", name));
  const model::Config config = model::parse_config(json.value()).value();
  model::VisionWeights weights;
  const io::TensorStore store =
      testing::formula_store(model::vision_tensors(config, weights), *device->queue().pool);
  const auto loaded = model::VisionTower::create(config, store, device);
  if (!loaded.ok()) return state.SkipWithError(loaded.error().message.c_str());
  const int64_t side = loaded.value().patch_side();
  const model::PatchGrid grid = {.cols = 60, .rows = 42};  // 2520 patches, 280 soft tokens
  std::vector<float> pixels(static_cast<size_t>(grid.size() * 3 * side * side));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i * 37 % 256) / 255;
  const model::VisionInput input{pixels, grid};
  const double peak = kernels::measure_peaks(*device->queue().pool).float32;
  for (auto& [entry, sum] : seconds()) sum = 0;
  for (auto _ : state) benchmark::DoNotOptimize(loaded.value().encode({&input, 1}).value());
  const auto rounds = static_cast<double>(state.iterations());
  const auto [linear, attention] = operations(*config.vision, static_cast<double>(grid.size()));
  const double all = (linear + attention) * rounds;
  state.counters["of peak"] = benchmark::Counter(all / peak, benchmark::Counter::kIsRate);
  state.counters["peak GFLOP/s"] = peak * 1e-9;
  state.counters["linear of peak"] = linear * rounds / seconds()["linear"] / peak;
  state.counters["attention of peak"] = attention * rounds / seconds()["attention"] / peak;
  for (const auto& [entry, sum] : seconds()) state.counters[entry + " ms"] = 1e3 * sum / rounds;
}
BENCHMARK_CAPTURE(tower, e2b, "e2b.json")
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()  // of all threads: what it costs where others run too
    ->UseRealTime();
BENCHMARK_CAPTURE(tower, 31b, "31b.json")
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
}  // namespace gemma4
