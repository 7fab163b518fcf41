// Sound as the model hears it: one channel of float32 at 16 kHz in [-1, 1], from any container and
// codec that FFmpeg reads, and from the sound tracks of films.
//
//   G4_ASSIGN_OR_RETURN(const Sound sound, read_sound("speech.mp3"));
//
// Channels are averaged, rates converted by FFmpeg's polyphase filter; nothing is normalised.
// 16-bit samples of one channel at 16 kHz arrive as they are, divided by 32768.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "media/log_mel.h"

namespace gemma4::media {

struct Sound {
  std::vector<float> samples;  // at least one
  bool was_cut = false;        // there was more than the limit takes
  bool is_damaged = false;     // parts could not be decoded and were left out
};

// What a hostile file may cost.
struct SoundLimits {
  int64_t max_samples = kClipSamples;  // what lies behind them is left out
  uint64_t max_file_bytes = 4ull << 30;
  double max_seconds = 30;  // of work
};

// Whether this build decodes sound and video at all.
bool decodes_av();

// `name` may hint at the format by its ending, which files without a header need (".g722"). Errors:
// kInvalidData for a file that is damaged or holds no sound, kUnsupported for another format, codec
// or a build without decoders, kResourceExhausted beyond a limit (says which).
Result<Sound> decode_sound(std::span<const std::byte> file, const SoundLimits& limits = {},
                           const std::string& name = {});
// The same from a file; errors name it. Also kNotFound, kIo.
Result<Sound> read_sound(const std::string& path, const SoundLimits& limits = {});
// The same from "data:audio/wav;base64,…".
Result<Sound> sound_from_data_url(std::string_view url, const SoundLimits& limits = {});

}  // namespace gemma4::media
