#include "model/vision_tower.h"

#include <algorithm>

#include "base/strings.h"
#include "model/tower_constants.h"
#include "model/vision_tensors.h"

namespace gemma4::model {
namespace {

// Beyond, longer passes are not faster per patch.
constexpr int64_t kPassPatches = 2560;

// Pixels as the tower reads them, of all pictures one after the other. `pool` may be null.
std::vector<float> gather_pixels(std::span<const VisionInput> pictures, bool unified,
                                 ThreadPool* pool) {
  std::vector<float> pixels;
  for (const VisionInput& picture : pictures)
    pixels.insert(pixels.end(), picture.pixels.begin(), picture.pixels.end());
  if (unified) return pixels;
  const auto shift = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float& v = pixels[static_cast<size_t>(i)];
      v = 2.0f * (v - 0.5f);
    }
  };
  const auto count = static_cast<int64_t>(pixels.size());
  pool != nullptr ? pool->parallel_for(count, 1 << 16, shift) : shift(0, count);
  return pixels;
}

}  // namespace

Result<VisionTower> VisionTower::create(const Config& config, const io::TensorStore& store,
                                        std::shared_ptr<kernels::Device> device) {
  G4_CHECK(device != nullptr);
  if (!config.vision)
    return Error{ErrorCode::kUnsupported, "this model does not see: it has no vision tower"};
  VisionTower tower;
  tower.device_ = std::move(device);
  tower.placed_ = PlacedWeights(tower.device_);
  tower.config_ = *config.vision;
  G4_RETURN_IF_ERROR(tower.bind(config, store));
  G4_ASSIGN_OR_RETURN(tower.inverse_frequencies_,
                      tower.placed_.place(axis_frequencies(tower.config_.head_dim)));
  G4_RETURN_IF_ERROR(tower.device_->finish());
  return tower;
}

Status VisionTower::bind(const Config& config, const io::TensorStore& store) {
  if (!config_.unified && (config_.head_dim < 4 || config_.head_dim % 4 != 0))
    return Error{ErrorCode::kUnsupported, str_cat("vision heads of ", config_.head_dim,
                                                  " elements: must be multiples of 4")};
  if (!config_.unified && config_.head_dim > device_->table().max_head_dim)
    return Error{ErrorCode::kUnsupported,
                 str_cat("vision heads of ", config_.head_dim, " elements: ", device_->name(),
                         " takes up to ", device_->table().max_head_dim)};
  for (const TensorEntry& entry : vision_tensors(config, weights_)) {
    G4_RETURN_IF_ERROR(check_tensor(entry, store));
    const io::Tensor& tensor = *store.find(entry.name);
    if (Matrix* const* matrix = std::get_if<Matrix*>(&entry.target)) {
      const int64_t cols = entry.shape.back();
      **matrix = {nullptr, tensor.dtype, tensor.size() / cols, cols};
      if (is_block_dtype(tensor.dtype) && !device_->table().reads_blocks)
        return Error{ErrorCode::kUnsupported,
                     str_cat("tensor ", quote(entry.name, 100), " has type ", name_of(tensor.dtype),
                             ", which these kernels do not read")};
      const bool is_table = *matrix == &weights_.position_embedding_table ||
                            *matrix == &weights_.unified.pos_embedding;
      G4_RETURN_IF_ERROR(
          placed_.place(**matrix, tensor, {.multiplied = !is_table, .looked_up = is_table}));
      continue;
    }
    G4_ASSIGN_OR_RETURN(std::vector<float> values, io::read_floats(tensor));
    if (float* const* number = std::get_if<float*>(&entry.target)) {
      **number = values[0];
    } else {
      G4_ASSIGN_OR_RETURN(const std::span<const float> placed, placed_.place(std::move(values)));
      *std::get<const float**>(entry.target) = placed.data();
    }
  }
  return {};
}

int64_t VisionTower::patch_side() const {
  return config_.unified ? config_.patch_size * config_.pooling_kernel_size : config_.patch_size;
}

int64_t VisionTower::pass_patches() const { return kPassPatches; }

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
    while (count < pictures.size() && patches + pictures[count].grid.size() <= pass_patches())
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
  kernels::Queue queue = device_->queue();
  queue.activations = kernels::Activations::kFloat32;  // towers amplify rounding (ADR 39)
  std::vector<float> pixels = gather_pixels(pictures, config_.unified, queue.pool);
  batch.pixels.data = pixels.data();
  VisionInputs inputs = host_inputs(batch);
  kernels::Device::Memory input_memory;
  if (!device_->is_host()) {
    G4_ASSIGN_OR_RETURN(inputs, device_inputs(batch, *device_, input_memory));
  }
  Arena measure = Arena::measuring();
  vision_forward({.arena = &measure, .device = device_.get()}, config_, weights_,
                 inverse_frequencies_, inputs);
  G4_ASSIGN_OR_RETURN(const kernels::Device::Memory memory,
                      device_->allocate(measure.high_water_bytes()));
  Arena arena(memory.get(), measure.high_water_bytes());
  const View all = vision_forward({.kernels = &device_->table(),
                                   .queue = queue,
                                   .arena = &arena,
                                   .device = device_.get(),
                                   .probe = probe,
                                   .many_rows = true},
                                  config_, weights_, inverse_frequencies_, inputs);
  std::vector<SoftTokens> soft;
  const float* next = all.f32();
  for (const PatchGrid& grid : grids) {
    SoftTokens tokens{width(), std::vector<float>(static_cast<size_t>(num_tokens(grid) * width()))};
    device_->download(tokens.values.data(), next, tokens.values.size() * sizeof(float));
    next += tokens.values.size();
    soft.push_back(std::move(tokens));
  }
  G4_RETURN_IF_ERROR(device_->finish());
  return soft;
}

}  // namespace gemma4::model
