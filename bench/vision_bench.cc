// The vision tower of E2B at 280 soft tokens, and what comes before it: decoding and resizing a
// photograph of 12 megapixels. "of peak" is the share of what the processor's own multiplications
// reach when nothing has to be loaded (kernels/peaks.h); operations counted are those of the matrix
// products and of attention.

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

// After <cstdio>, which it needs.
#include <jpeglib.h>

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
BENCHMARK(decode_and_resize)->Arg(280)->Arg(1120)->Unit(benchmark::kMillisecond)->UseRealTime();

double operations(const model::VisionConfig& config, double patches) {
  const auto d = static_cast<double>(config.hidden_size);
  const auto heads = static_cast<double>(config.num_attention_heads * config.head_dim);
  const auto inner = static_cast<double>(config.intermediate_size);
  const double linear = patches * (4 * d * heads + 3 * d * inner);
  const double attention = 2 * patches * patches * heads;
  return 2 * static_cast<double>(config.num_hidden_layers) * (linear + attention);
}

void tower(benchmark::State& state) {
  const auto device = open_device();
  const auto json =
      io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/spec/configs/e2b.json");
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
  const kernels::Peaks peaks = kernels::measure_peaks(*device->queue().pool);
  const model::VisionInput input{pixels, grid};
  for (auto _ : state) benchmark::DoNotOptimize(loaded.value().encode({&input, 1}).value());
  const double done = operations(*config.vision, static_cast<double>(grid.size())) *
                      static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(done * 1e-9, benchmark::Counter::kIsRate);
  state.counters["of peak"] = benchmark::Counter(done / peaks.float32, benchmark::Counter::kIsRate);
  state.counters["peak GFLOP/s"] = peaks.float32 * 1e-9;
}
BENCHMARK(tower)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace gemma4
