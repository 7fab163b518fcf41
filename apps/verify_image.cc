#include "apps/verify_image.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "io/mapped_file.h"
#include "media/image_processor.h"
#include "model/vision_tower.h"

namespace gemma4::apps {
namespace {

constexpr int64_t kGoldenBudget = 70;

class Recorder : public ops::Probe {
 public:
  void observe(std::string_view name, int, const View& value) override {
    if (name == "vision.tower") tower.assign(value.f32(), value.f32() + value.size());
  }
  std::vector<float> tower;
};

KeyResult exact_result(const std::string& key, std::vector<int64_t> shape, bool agrees) {
  return {.key = key,
          .shape = std::move(shape),
          .computed = true,
          .exact = true,
          .relative_error = agrees ? 0.0 : 1.0};
}

// The share of samples that differ, as the error of a key; all of it where one is off by more than
// the libraries are from one another.
KeyResult pixel_result(const std::string& key, const media::Image& out,
                       const media::Image& reference, media::ResizeVariant variant) {
  const bool exact = variant == media::ResizeVariant::kPillow;
  KeyResult result{.key = key,
                   .shape = {reference.height, reference.width, 3},
                   .computed = true,
                   .exact = exact,
                   .relative_error = 1,
                   .tolerance = exact ? 0 : 0.015};
  if (out.width != reference.width || out.height != reference.height) return result;
  int64_t different = 0;
  int worst = 0;
  for (size_t i = 0; i < out.rgb.size(); ++i) {
    const int difference = std::abs(out.rgb[i] - reference.rgb[i]);
    different += difference > 0 ? 1 : 0;
    worst = std::max(worst, difference);
  }
  constexpr int kWorst = 2;
  if (worst <= kWorst)
    result.relative_error = static_cast<double>(different) / static_cast<double>(out.rgb.size());
  return result;
}

Status verify_picture(const std::string& folder, const nlohmann::json& entry,
                      std::vector<KeyResult>& results) {
  const auto file = entry.at("source").get<std::string>();
  const auto budget = entry.at("max_soft_tokens").get<int64_t>();
  const auto backend = entry.at("backend").get<std::string>();
  const auto size = entry.at("resized_size").get<std::vector<int64_t>>();
  const auto source = entry.at("source_size").get<std::vector<int64_t>>();
  const media::ResizeVariant variant =
      backend == "pil" ? media::ResizeVariant::kPillow : media::ResizeVariant::kTorchvision;
  G4_ASSIGN_OR_RETURN(const media::Image image, media::read_image(folder + "/" + file));
  G4_ASSIGN_OR_RETURN(const media::ProcessedImage seen,
                      media::process_image(image, {.budget = budget, .variant = variant}));
  const std::string key = str_cat(file, ".", budget, ".", backend);
  const media::ImageSize out = seen.size();
  results.push_back(exact_result(key + ".size", {},
                                 source == std::vector<int64_t>{image.width, image.height} &&
                                     size == std::vector<int64_t>{out.width, out.height} &&
                                     entry.at("patches").get<int64_t>() == out.patches() &&
                                     entry.at("soft_tokens").get<int64_t>() == out.soft_tokens()));
  if (!entry.at("resized").is_string()) return {};
  G4_ASSIGN_OR_RETURN(const media::Image reference,
                      media::read_image(folder + "/" + entry.at("resized").get<std::string>()));
  results.push_back(pixel_result(key + ".pixels", seen.image, reference, variant));
  return {};
}

}  // namespace

Result<Seen> see(const model::Model& model, const std::shared_ptr<kernels::Device>& device,
                 const std::string& pictures) {
  G4_ASSIGN_OR_RETURN(const model::VisionTower tower,
                      model::VisionTower::create(model.config(), model.store(), device));
  Seen seen;
  const int first = tower.config().unified ? 1 : 0;
  for (int index = first; index < 2; ++index) {
    G4_ASSIGN_OR_RETURN(const media::Image image,
                        media::read_image(str_cat(pictures, "/source", index, ".png")));
    G4_ASSIGN_OR_RETURN(const media::ProcessedImage processed,
                        media::process_image(image, {.budget = kGoldenBudget}));
    const int64_t side = tower.patch_side();
    const std::vector<float> pixels = media::cut_patches(processed.image, side);
    const model::VisionInput input{pixels,
                                   {processed.image.width / side, processed.image.height / side}};
    Recorder recorder;
    G4_ASSIGN_OR_RETURN(std::vector<model::SoftTokens> soft, tower.encode({&input, 1}, &recorder));
    const int key = index - first;
    seen.values[str_cat("image.tower", key)] = std::move(recorder.tower);
    seen.values[str_cat("image.soft", key)] = soft[0].values;
    seen.items.push_back(
        {model::MediaKind::kImage, std::make_shared<const model::SoftTokens>(std::move(soft[0]))});
  }
  return seen;
}

Result<std::vector<KeyResult>> verify_pictures(const std::string& folder) {
  const std::string index_path = folder + "/index.json";
  G4_ASSIGN_OR_RETURN(const std::string text, io::read_file(index_path, 1 << 20));
  std::vector<KeyResult> results;
  try {
    for (const nlohmann::json& entry : nlohmann::json::parse(text))
      G4_RETURN_IF_ERROR(verify_picture(folder, entry, results));
  } catch (const nlohmann::json::exception& error) {
    return Error{ErrorCode::kInvalidData, str_cat(index_path, ": ", error.what())};
  }
  if (results.empty()) return Error{ErrorCode::kInvalidData, index_path + ": lists no picture"};
  return results;
}

}  // namespace gemma4::apps
