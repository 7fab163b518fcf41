#include "model/audio_tower.h"

#include "base/strings.h"
#include "model/audio_tensors.h"
#include "model/tower_constants.h"

namespace gemma4::model {
namespace {

// [rows, cols, inner] -> [rows, inner, cols]
std::vector<float> swap_last_axes(const float* x, int64_t rows, int64_t cols, int64_t inner) {
  std::vector<float> out(static_cast<size_t>(rows * cols * inner));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      for (int64_t i = 0; i < inner; ++i)
        out[static_cast<size_t>((r * inner + i) * cols + c)] = x[(r * cols + c) * inner + i];
  return out;
}

}  // namespace

Result<AudioTower> AudioTower::create(const Config& config, const io::TensorStore& store,
                                      std::shared_ptr<kernels::Device> device) {
  G4_CHECK(device != nullptr);
  if (!config.audio)
    return Error{ErrorCode::kUnsupported,
                 "this model does not hear: it has no audio tower (E2B, E4B and 12B have one)"};
  AudioTower tower;
  tower.device_ = std::move(device);
  tower.placed_ = PlacedWeights(tower.device_);
  tower.config_ = *config.audio;
  const std::vector<TensorEntry> entries = audio_tensors(config, tower.weights_);
  G4_RETURN_IF_ERROR(tower.bind(entries, store));
  if (!tower.reads_samples()) tower.prepare_weights();
  G4_RETURN_IF_ERROR(tower.place_vectors(entries));
  G4_RETURN_IF_ERROR(tower.device_->finish());
  return tower;
}

const float* AudioTower::keep(std::vector<float> values) {
  vectors_.push_back(std::move(values));
  return vectors_.back().data();
}

Status AudioTower::bind(const std::vector<TensorEntry>& entries, const io::TensorStore& store) {
  for (const TensorEntry& entry : entries) {
    G4_RETURN_IF_ERROR(check_tensor(entry, store));
    const io::Tensor& tensor = *store.find(entry.name);
    if (Matrix* const* matrix = std::get_if<Matrix*>(&entry.target)) {
      **matrix = {nullptr, tensor.dtype, entry.shape[0], entry.shape[1]};
      if (is_block_dtype(tensor.dtype) && !device_->table().reads_blocks)
        return Error{ErrorCode::kUnsupported,
                     str_cat("tensor ", quote(entry.name, 100), " has type ", name_of(tensor.dtype),
                             ", which these kernels do not read")};
      G4_RETURN_IF_ERROR(placed_.place(**matrix, tensor));
      continue;
    }
    G4_ASSIGN_OR_RETURN(std::vector<float> values, io::read_floats(tensor));
    if (float* const* number = std::get_if<float*>(&entry.target))
      **number = values[0];
    else
      *std::get<const float**>(entry.target) = keep(std::move(values));
  }
  return {};
}

// Brings small weights into the form that the forward pass uses.
void AudioTower::prepare_weights() {
  const int64_t d = config_.hidden_size;
  const int64_t head_dim = d / config_.num_attention_heads;
  int64_t channels = 1;
  for (size_t i = 0; i < weights_.subsampling.size(); ++i) {
    const float*& conv = weights_.subsampling[i].conv;
    const int64_t outputs = config_.subsampling_conv_channels[i];
    conv = keep(swap_last_axes(conv, outputs, channels, 9));
    channels = outputs;
  }
  for (AudioLayer& layer : weights_.layers) {
    for (AudioFeedForward* part : {&layer.feed_forward1, &layer.feed_forward2}) {
      const float*& weight = part->post_layer_norm.weight;
      std::vector<float> scaled(weight, weight + d);
      for (float& w : scaled) w *= config_.residual_weight;
      weight = keep(std::move(scaled));
    }
    const float*& scale = layer.self_attn.per_dim_scale;
    scale = keep(query_scales({scale, static_cast<size_t>(head_dim)}));
    const float*& kernel = layer.lconv1d.depthwise_conv1d;
    kernel = keep(swap_last_axes(kernel, 1, d, config_.conv_kernel_size));
  }
  const int64_t window = config_.attention_context_left - 1;
  constants_.positions =
      View(const_cast<float*>(keep(distance_sinusoids(window, d))), DType::kF32, {window, d});
}

Status AudioTower::place_vectors(const std::vector<TensorEntry>& entries) {
  if (device_->is_host()) return {};
  const auto place = [&](const float* values, int64_t count) {
    return placed_.place(std::vector<float>(values, values + count));
  };
  for (const TensorEntry& entry : entries) {
    const float** const* const vector = std::get_if<const float**>(&entry.target);
    if (vector == nullptr) continue;
    int64_t count = 1;  // which no preparation changes
    for (const int64_t dim : entry.shape) count *= dim;
    G4_ASSIGN_OR_RETURN(const std::span<const float> placed, place(**vector, count));
    **vector = placed.data();
  }
  if (View& positions = constants_.positions) {
    G4_ASSIGN_OR_RETURN(const std::span<const float> placed,
                        place(positions.f32(), positions.size()));
    positions.data = const_cast<float*>(placed.data());  // kernels only read it
  }
  vectors_.clear();
  return {};
}

View AudioTower::forward(const ops::Context& ctx, View input) const {
  if (reads_samples()) return waveform_forward(ctx, weights_, input);
  return audio_forward(ctx, config_, weights_, constants_, input);
}

Result<std::vector<float>> AudioTower::encode(std::span<const float> input,
                                              ops::Probe* probe) const {
  const int64_t rows = static_cast<int64_t>(input.size()) / input_width();
  G4_CHECK(rows > 0 && static_cast<size_t>(rows * input_width()) == input.size());
  // Kernels only read it.
  View features(const_cast<float*>(input.data()), DType::kF32, {rows, input_width()});
  kernels::Device::Memory input_memory;
  if (!device_->is_host()) {
    G4_ASSIGN_OR_RETURN(input_memory, device_->allocate(input.size_bytes()));
    device_->upload(input_memory.get(), input.data(), input.size_bytes());
    features.data = input_memory.get();
  }
  Arena measure = Arena::measuring();
  forward({.arena = &measure}, features);
  G4_ASSIGN_OR_RETURN(const kernels::Device::Memory memory,
                      device_->allocate(measure.high_water_bytes()));
  Arena arena(memory.get(), measure.high_water_bytes());
  kernels::Queue queue = device_->queue();
  queue.activations = kernels::Activations::kFloat32;  // towers amplify rounding (ADR 39)
  const View soft = forward({.kernels = &device_->table(),
                             .queue = queue,
                             .arena = &arena,
                             .device = device_.get(),
                             .probe = probe,
                             .many_rows = true},
                            features);
  std::vector<float> values(static_cast<size_t>(soft.size()));
  device_->download(values.data(), soft.f32(), values.size() * sizeof(float));
  G4_RETURN_IF_ERROR(device_->finish());
  return values;
}

}  // namespace gemma4::model
