#include "model/vision_tower.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "model/vision_tensors.h"

namespace gemma4::model {
namespace {

// Patches of a pass, unless one picture has more: beyond, longer passes are not faster per patch.
constexpr int64_t kPassPatches = 2560;
constexpr float kRopeTheta = 100;

// Pixels as the tower reads them, of all pictures one after the other.
std::vector<float> gather_pixels(std::span<const VisionInput> pictures, bool unified,
                                 ThreadPool& pool) {
  std::vector<float> pixels;
  for (const VisionInput& picture : pictures)
    pixels.insert(pixels.end(), picture.pixels.begin(), picture.pixels.end());
  if (unified) return pixels;
  pool.parallel_for(static_cast<int64_t>(pixels.size()), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float& v = pixels[static_cast<size_t>(i)];
      v = 2.0f * (v - 0.5f);
    }
  });
  return pixels;
}

}  // namespace

Result<VisionTower> VisionTower::create(const Config& config, const io::TensorStore& store,
                                        std::shared_ptr<kernels::Device> device) {
  G4_CHECK(device != nullptr && device->is_host());
  if (!config.vision)
    return Error{ErrorCode::kUnsupported, "this model does not see: it has no vision tower"};
  VisionTower tower;
  tower.device_ = std::move(device);
  tower.config_ = *config.vision;
  G4_RETURN_IF_ERROR(tower.bind(config, store));
  // A reciprocal of a power, both rounded to float32, as the reference has it.
  const int64_t quarter = tower.config_.head_dim / 4;
  for (int64_t j = 0; j < quarter; ++j) {
    const float exponent = static_cast<float>(j) / static_cast<float>(quarter);
    tower.inverse_frequencies_.push_back(1.0f / std::pow(kRopeTheta, exponent));
  }
  return tower;
}

Status VisionTower::bind(const Config& config, const io::TensorStore& store) {
  if (!config_.unified && (config_.head_dim < 4 || config_.head_dim % 4 != 0))
    return Error{ErrorCode::kUnsupported, str_cat("vision heads of ", config_.head_dim,
                                                  " elements: must be multiples of 4")};
  for (const TensorEntry& entry : vision_tensors(config, weights_)) {
    G4_RETURN_IF_ERROR(check_tensor(entry, store));
    const io::Tensor& tensor = *store.find(entry.name);
    if (Matrix* const* matrix = std::get_if<Matrix*>(&entry.target)) {
      const int64_t cols = entry.shape.back();
      **matrix = {tensor.bytes.data(), tensor.dtype, tensor.size() / cols, cols};
      if (is_block_dtype(tensor.dtype) && !device_->table().reads_blocks)
        return Error{ErrorCode::kUnsupported,
                     str_cat("tensor ", quote(entry.name, 100), " has type ", name_of(tensor.dtype),
                             ", which these kernels do not read")};
      continue;
    }
    G4_ASSIGN_OR_RETURN(std::vector<float> values, io::read_floats(tensor));
    if (float* const* number = std::get_if<float*>(&entry.target)) {
      **number = values[0];
    } else {
      vectors_.push_back(std::move(values));
      *std::get<const float**>(entry.target) = vectors_.back().data();
    }
  }
  return {};
}

int64_t VisionTower::patch_side() const {
  return config_.unified ? config_.patch_size * config_.pooling_kernel_size : config_.patch_size;
}

int64_t VisionTower::num_tokens(const PatchGrid& grid) const {
  const int64_t side = config_.unified ? 1 : config_.pooling_kernel_size;
  return grid.cols / side * (grid.rows / side);
}

Status VisionTower::check(const VisionInput& picture) const {
  const PatchGrid& grid = picture.grid;
  const int64_t side = config_.unified ? 1 : config_.pooling_kernel_size;
  const int64_t positions =
      config_.unified ? config_.mm_posemb_size : config_.position_embedding_size;
  G4_CHECK(grid.cols > 0 && grid.rows > 0 && grid.cols % side == 0 && grid.rows % side == 0);
  G4_CHECK_EQ(static_cast<int64_t>(picture.pixels.size()),
              grid.size() * 3 * patch_side() * patch_side());
  if (std::max(grid.cols, grid.rows) > positions)
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("a picture of ", grid.cols, "x", grid.rows,
                         " patches; this model has positions for ", positions, " on a side")};
  return {};
}

Result<std::vector<SoftTokens>> VisionTower::encode(std::span<const VisionInput> pictures,
                                                    ops::Probe* probe) const {
  for (const VisionInput& picture : pictures) G4_RETURN_IF_ERROR(check(picture));
  std::vector<SoftTokens> soft;
  while (!pictures.empty()) {
    size_t count = 1;
    int64_t patches = pictures[0].grid.size();
    while (count < pictures.size() && patches + pictures[count].grid.size() <= kPassPatches)
      patches += pictures[count++].grid.size();
    G4_ASSIGN_OR_RETURN(std::vector<SoftTokens> part, encode_pass(pictures.first(count), probe));
    for (SoftTokens& tokens : part) soft.push_back(std::move(tokens));
    pictures = pictures.subspan(count);
  }
  return soft;
}

Result<std::vector<SoftTokens>> VisionTower::encode_pass(std::span<const VisionInput> pictures,
                                                         ops::Probe* probe) const {
  std::vector<PatchGrid> grids;
  for (const VisionInput& picture : pictures) grids.push_back(picture.grid);
  VisionBatch batch = vision_batch(config_, grids);
  const kernels::Queue queue = device_->queue();
  std::vector<float> pixels = gather_pixels(pictures, config_.unified, *queue.pool);
  batch.pixels.data = pixels.data();
  Arena measure = Arena::measuring();
  vision_forward({.arena = &measure}, config_, weights_, inverse_frequencies_, batch);
  G4_ASSIGN_OR_RETURN(const kernels::Device::Memory memory,
                      device_->allocate(measure.high_water_bytes()));
  Arena arena(memory.get(), measure.high_water_bytes());
  const View all = vision_forward({.kernels = &device_->table(),
                                   .queue = queue,
                                   .arena = &arena,
                                   .device = device_.get(),
                                   .probe = probe,
                                   .many_rows = true},
                                  config_, weights_, inverse_frequencies_, batch);
  std::vector<SoftTokens> soft;
  const float* next = all.f32();
  for (const PatchGrid& grid : grids) {
    const float* const end = next + num_tokens(grid) * width();
    soft.push_back({width(), std::vector<float>(next, end)});
    next = end;
  }
  return soft;
}

}  // namespace gemma4::model
