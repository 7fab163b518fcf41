// The audio tower of a checkpoint, loaded: sound to soft tokens.
//
//   G4_ASSIGN_OR_RETURN(const AudioTower tower, AudioTower::create(config, store, device));
//   const std::vector<float> soft = tower.encode(features);  // [T, text hidden]
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/safetensors.h"
#include "kernels/device.h"
#include "model/audio_forward.h"
#include "model/placed_weights.h"
#include "model/tensor_list.h"

namespace gemma4::model {

class AudioTower {
 public:
  // On a CPU the tower's matrices stay in the map of `store`, which must outlive it; another device
  // gets copies and computes in float32, whatever its products round elsewhere. Errors:
  // kUnsupported for a model without audio, kInvalidData names a tensor that is missing or
  // misshapen, kResourceExhausted where the device's memory ends.
  static Result<AudioTower> create(const Config& config, const io::TensorStore& store,
                                   std::shared_ptr<kernels::Device> device);

  // Whether it reads samples as they are, instead of log-mel features.
  bool reads_samples() const { return config_.unified; }
  // Numbers of a row of input: mel bands of a frame, or samples of a token.
  int64_t input_width() const {
    return reads_samples() ? config_.audio_embed_dim : config_.mel_bands;
  }
  // Soft tokens of `rows` rows of input.
  int64_t num_tokens(int64_t rows) const { return reads_samples() ? rows : (rows + 3) / 4; }
  int64_t width() const { return weights_.embedding_projection.weight.rows; }  // of a soft token

  // `input` [rows, input_width()], at least one row -> [num_tokens(rows), width()]. Not for two
  // threads at a time, nor beside other work on the device. Errors: kResourceExhausted,
  // kUnavailable when the device has failed.
  Result<std::vector<float>> encode(std::span<const float> input,
                                    ops::Probe* probe = nullptr) const;

 private:
  AudioTower() = default;
  Status bind(const std::vector<TensorEntry>& entries, const io::TensorStore& store);
  void prepare_weights();
  // Vectors where the device can read them
  Status place_vectors(const std::vector<TensorEntry>& entries);
  const float* keep(std::vector<float> values);
  View forward(const ops::Context& ctx, View input) const;

  std::shared_ptr<kernels::Device> device_;
  AudioConfig config_;
  AudioWeights weights_;
  std::vector<std::vector<float>>
      vectors_;  // norms, small kernels, constants, until they are placed
  PlacedWeights placed_;
  AudioConstants constants_;
};

}  // namespace gemma4::model
