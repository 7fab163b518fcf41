#include "apps/verify_audio.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "answer/audio_input.h"
#include "base/strings.h"
#include "media/sound.h"

namespace gemma4::apps {
namespace {

constexpr double kFeatureTolerance = 1e-4;  // of each number, not of their norm

class Recorder : public ops::Probe {
 public:
  void observe(std::string_view name, int layer, const View& value) override {
    if (layer < 0) values[std::string(name)].assign(value.f32(), value.f32() + value.size());
  }
  std::map<std::string, std::vector<float>> values;
};

// The largest difference of the rows that are there in both; infinite where they are not as many.
double worst_difference(const std::vector<float>& out, std::span<const float> reference) {
  if (out.size() != reference.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < out.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(out[i]) - reference[i]));
  return worst;
}

// Whether `mask` is what this build would say of so many samples.
bool is_mask_of(const std::vector<int64_t>& mask, int64_t samples) {
  if (static_cast<int64_t>(mask.size()) != media::num_padded_mel_frames(samples)) return false;
  const int64_t valid = media::num_mel_frames(samples);
  for (size_t i = 0; i < mask.size(); ++i)
    if (mask[i] != (static_cast<int64_t>(i) < valid ? 1 : 0)) return false;
  return true;
}

KeyResult exact_result(const std::string& key, std::vector<int64_t> shape, bool agrees) {
  return {.key = key,
          .shape = std::move(shape),
          .computed = true,
          .exact = true,
          .relative_error = agrees ? 0.0 : 1.0};
}

// The features and the mask of one sound.
Status verify_sound(const std::string& folder, const std::string& file,
                    const io::TensorStore& golden, std::vector<KeyResult>& results) {
  G4_ASSIGN_OR_RETURN(const media::Sound sound, media::read_sound(folder + "/" + file));
  const std::string name = file.substr(0, file.rfind('.'));
  const auto samples = static_cast<int64_t>(sound.samples.size());
  const io::Tensor* features = golden.find(name + ".input_features");
  const io::Tensor* mask = golden.find(name + ".mask");
  if (features == nullptr || mask == nullptr)
    return Error{ErrorCode::kInvalidData, str_cat(golden.path(), ": nothing about ", quote(name))};
  G4_ASSIGN_OR_RETURN(const std::vector<float> expected, io::read_floats(*features));
  G4_ASSIGN_OR_RETURN(const std::vector<int64_t> bits, io::read_integers(*mask));
  const std::vector<float> out = media::log_mel(sound.samples);
  const std::span<const float> valid =
      std::span(expected).first(std::min(expected.size(), out.size()));
  results.push_back({.key = name + ".input_features",
                     .shape = features->shape,
                     .computed = true,
                     .relative_error = worst_difference(out, valid),
                     .tolerance = kFeatureTolerance});
  results.push_back(exact_result(name + ".mask", mask->shape, is_mask_of(bits, samples)));
  return {};
}

// An entry of index.json: how many frames so many samples give, after the cut at the limit.
KeyResult verify_counts(const std::string& name, const nlohmann::json& entry) {
  const int64_t samples = std::min(entry.at("samples").get<int64_t>(), media::kClipSamples);
  const bool agrees = media::num_padded_mel_frames(samples) == entry.at("frames").get<int64_t>() &&
                      media::num_mel_frames(samples) == entry.at("valid_frames").get<int64_t>();
  return exact_result(name + ".frames", {}, agrees);
}

}  // namespace

Result<Heard> hear(const model::Model& model, const std::shared_ptr<kernels::Device>& device,
                   const std::string& sounds) {
  G4_ASSIGN_OR_RETURN(const model::AudioTower tower,
                      model::AudioTower::create(model.config(), model.store(), device));
  G4_ASSIGN_OR_RETURN(const media::Sound sound, media::read_sound(sounds + "/sound1.wav"));
  G4_ASSIGN_OR_RETURN(const std::vector<float> input, answer::audio_input(tower, sound.samples));
  Recorder recorder;
  G4_ASSIGN_OR_RETURN(std::vector<float> soft, tower.encode(input, &recorder));
  return Heard{std::move(recorder.values), std::make_shared<const model::SoftTokens>(
                                               model::SoftTokens{tower.width(), std::move(soft)})};
}

Result<std::vector<model::SoftSpan>> place(
    const model::Model& model, std::span<const int32_t> ids,
    const std::vector<std::shared_ptr<const model::SoftTokens>>& soft) {
  std::vector<model::SoftSpan> spans;
  const auto is_placeholder = [&](size_t i) { return model.embedding_id(ids[i]) != ids[i]; };
  for (size_t begin = 0, end = 0; begin < ids.size(); begin = std::max(end, begin + 1)) {
    for (end = begin; end < ids.size() && is_placeholder(end); ++end) continue;
    if (end == begin) continue;
    const size_t item = spans.size();
    if (item == soft.size() || soft[item]->count() != static_cast<int64_t>(end - begin))
      return Error{ErrorCode::kInvalidData,
                   str_cat("a prompt with ", end - begin,
                           " placeholders in a row, which are not those of its sound")};
    spans.push_back({static_cast<int64_t>(begin), soft[item], model::MediaKind::kAudio});
  }
  if (spans.size() == soft.size()) return spans;
  return Error{ErrorCode::kInvalidData, "a prompt without placeholders for its sound"};
}

Result<std::vector<KeyResult>> verify_features(const std::string& folder) {
  const std::string index_path = folder + "/index.json";
  G4_ASSIGN_OR_RETURN(const std::string text, io::read_file(index_path, 1 << 20));
  G4_ASSIGN_OR_RETURN(const io::TensorStore golden,
                      io::TensorStore::open(folder + "/features.safetensors"));
  std::vector<KeyResult> results;
  try {
    for (const nlohmann::json& entry : nlohmann::json::parse(text)) {
      const bool has_file = entry.at("file").is_string();
      const std::string name = has_file ? entry.at("file").get<std::string>()
                                        : str_cat(entry.at("samples").get<int64_t>(), " samples");
      if (has_file) G4_RETURN_IF_ERROR(verify_sound(folder, name, golden, results));
      results.push_back(verify_counts(name, entry));
    }
  } catch (const nlohmann::json::exception& error) {
    return Error{ErrorCode::kInvalidData, str_cat(index_path, ": ", error.what())};
  }
  if (results.empty()) return Error{ErrorCode::kInvalidData, index_path + ": lists no sound"};
  return results;
}

}  // namespace gemma4::apps
