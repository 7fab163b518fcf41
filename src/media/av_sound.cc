// Sound by FFmpeg: decoded, averaged to one channel and resampled as it comes.

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

extern "C" {
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
}

#include "base/strings.h"
#include "media/av_input.h"
#include "media/sound.h"

namespace gemma4::media {
namespace {

constexpr int kLowestRate = 1000, kHighestRate = 768'000;  // Hz
constexpr int kMostChannels = 64;                          // of the resampler

struct FreeResampler {
  void operator()(SwrContext* context) const { swr_free(&context); }
};

// Frames of any format to one channel of floats.
class Mixer {
 public:
  explicit Mixer(int64_t max_samples) : max_samples_(max_samples) {}

  // Whether more is wanted.
  Result<bool> add(const AVFrame& frame) {
    if (frame.nb_samples <= 0) return true;
    if (!is_same_format(frame)) {
      if (resampler_ != nullptr) G4_RETURN_IF_ERROR(flush());
      G4_RETURN_IF_ERROR(configure(frame));
    }
    // A second at a time, so that what comes out of one call is bounded.
    const int bytes = av_get_bytes_per_sample(format_);
    const int stride = av_sample_fmt_is_planar(format_) != 0 ? bytes : bytes * channels_;
    const int planes = av_sample_fmt_is_planar(format_) != 0 ? channels_ : 1;
    std::vector<const uint8_t*> data(static_cast<size_t>(planes));
    for (int begin = 0; begin < frame.nb_samples && !is_full(); begin += rate_) {
      for (size_t i = 0; i < data.size(); ++i)
        data[i] = frame.extended_data[i] + static_cast<ptrdiff_t>(begin) * stride;
      G4_RETURN_IF_ERROR(convert(data.data(), std::min(rate_, frame.nb_samples - begin)));
    }
    return !is_full();
  }

  // What the filter still holds.
  Status flush() { return resampler_ == nullptr ? Status() : convert(nullptr, 0); }

  Sound take() {
    Sound sound{std::move(samples_)};
    sound.was_cut = static_cast<int64_t>(sound.samples.size()) > max_samples_;
    if (sound.was_cut) sound.samples.resize(static_cast<size_t>(max_samples_));
    for (float& sample : sound.samples) {
      if (std::isfinite(sample)) continue;  // files of floats may hold anything
      sample = 0;
      sound.is_damaged = true;
    }
    return sound;
  }

 private:
  // One sample more than the limit shows that there was more.
  bool is_full() const { return static_cast<int64_t>(samples_.size()) > max_samples_; }

  bool is_same_format(const AVFrame& frame) const {
    return resampler_ != nullptr && frame.format == format_ && frame.sample_rate == rate_ &&
           frame.ch_layout.nb_channels == channels_;
  }

  Status configure(const AVFrame& frame) {
    format_ = static_cast<AVSampleFormat>(frame.format);
    rate_ = frame.sample_rate;
    channels_ = frame.ch_layout.nb_channels;
    if (rate_ < kLowestRate || rate_ > kHighestRate)
      return Error{ErrorCode::kUnsupported, str_cat("has ", rate_, " samples per second, expected ",
                                                    kLowestRate, " to ", kHighestRate)};
    if (channels_ < 1 || channels_ > kMostChannels)
      return Error{ErrorCode::kUnsupported,
                   str_cat("has ", channels_, " channels, expected 1 to ", kMostChannels)};
    // Which speaker a channel belongs to does not matter: all have the same weight.
    AVChannelLayout in{}, out{};
    in.order = AV_CHANNEL_ORDER_UNSPEC;
    in.nb_channels = channels_;
    av_channel_layout_default(&out, 1);
    if (channels_ == 1) in = out;
    SwrContext* context = nullptr;
    int code = swr_alloc_set_opts2(&context, &out, AV_SAMPLE_FMT_FLT, static_cast<int>(kSampleRate),
                                   &in, format_, rate_, 0, nullptr);
    resampler_.reset(context);
    const std::vector<double> weights(static_cast<size_t>(channels_), 1.0 / channels_);
    if (code >= 0)
      code = av_opt_set_sample_fmt(context, "internal_sample_fmt", AV_SAMPLE_FMT_FLTP, 0);
    if (code >= 0 && channels_ > 1) code = swr_set_matrix(context, weights.data(), channels_);
    if (code >= 0) code = swr_init(context);
    if (code < 0) {
      resampler_.reset();
      return Error{ErrorCode::kUnsupported, str_cat("cannot be converted to ", kSampleRate,
                                                    " samples per second: ", av_reason(code))};
    }
    return {};
  }

  Status convert(const uint8_t** data, int count) {
    const int room = swr_get_out_samples(resampler_.get(), count);
    if (room < 0) return failed(room);
    const size_t before = samples_.size();
    samples_.resize(before + static_cast<size_t>(room));
    auto* out = reinterpret_cast<uint8_t*>(samples_.data() + before);
    const int written = swr_convert(resampler_.get(), &out, room, data, count);
    samples_.resize(before + static_cast<size_t>(std::max(written, 0)));
    return written < 0 ? failed(written) : Status();
  }

  static Status failed(int code) {
    return Error{ErrorCode::kInvalidData, "cannot be resampled: " + av_reason(code)};
  }

  int64_t max_samples_;
  std::unique_ptr<SwrContext, FreeResampler> resampler_;
  AVSampleFormat format_ = AV_SAMPLE_FMT_NONE;
  int rate_ = 0;
  int channels_ = 0;
  std::vector<float> samples_;
};

}  // namespace

bool decodes_av() { return true; }

Result<Sound> decode_sound(std::span<const std::byte> file, const SoundLimits& limits,
                           const std::string& name) {
  G4_ASSIGN_OR_RETURN(const auto input, AvInput::open(file, name,
                                                      {.max_file_bytes = limits.max_file_bytes,
                                                       .max_seconds = limits.max_seconds}));
  const AVStream* stream = input->find(AVMEDIA_TYPE_AUDIO);
  if (stream == nullptr) return Error{ErrorCode::kInvalidData, "holds no sound"};
  G4_RETURN_IF_ERROR(input->select(*stream));
  Mixer mixer(limits.max_samples);
  G4_RETURN_IF_ERROR(
      input->decode(*stream, [&](AVFrame& frame) -> Result<bool> { return mixer.add(frame); }));
  G4_RETURN_IF_ERROR(mixer.flush());
  Sound sound = mixer.take();
  sound.is_damaged = sound.is_damaged || input->is_damaged();
  if (sound.samples.empty())
    return Error{ErrorCode::kInvalidData, sound.is_damaged
                                              ? "holds no sound that can be decoded: it is damaged"
                                              : "holds a sound track without a sample"};
  return sound;
}

}  // namespace gemma4::media
