#include "answer/audio_input.h"

#include "base/strings.h"
#include "media/log_mel.h"

namespace gemma4::answer {

Result<std::vector<float>> audio_input(const model::AudioTower& tower,
                                       std::span<const float> samples) {
  std::vector<float> input;
  if (tower.reads_samples()) {
    const auto width = static_cast<size_t>(tower.input_width());
    input.assign(samples.begin(), samples.end());
    input.resize((samples.size() + width - 1) / width * width);
  } else {
    if (tower.input_width() != media::kMelBands)
      return Error{ErrorCode::kUnsupported, str_cat("an audio tower of ", tower.input_width(),
                                                    " mel bands, expected ", media::kMelBands)};
    input = media::log_mel(samples);
  }
  if (input.empty())
    return Error{ErrorCode::kInvalidArgument, str_cat("a sound of ", samples.size(),
                                                      " samples at 16 kHz is too short to be "
                                                      "heard; 161 are needed (10 ms)")};
  return input;
}

}  // namespace gemma4::answer
