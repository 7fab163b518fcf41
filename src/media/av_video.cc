// Frames of films by FFmpeg. The packets are gone through twice: once to know how many frames there
// are and when they are shown, once to decode those that are wanted, from the key frame before
// each.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>

extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include "base/strings.h"
#include "base/thread_pool.h"
#include "media/av_input.h"
#include "media/image_codecs.h"
#include "media/video.h"

namespace gemma4::media {
namespace {

constexpr double kAssumedFps = 24;  // what the reference takes where a film does not say

struct FreeScaler {
  void operator()(SwsContext* context) const { sws_freeContext(context); }
};

// When the frames of a film are shown.
struct Timeline {
  int64_t packets = 0;
  // In order of presentation; empty where packets have no times of their own.
  std::vector<int64_t> shown;
  std::vector<int64_t> key_frames;  // rising

  // The frame that is shown at a time; without times, the next one after `last`.
  int64_t index_of(int64_t time, int64_t last) const {
    if (shown.empty() || time == AV_NOPTS_VALUE) return last + 1;
    return std::upper_bound(shown.begin(), shown.end(), time) - shown.begin() - 1;
  }
  // The last key frame that `target` can be decoded from, if it lies after frame `last`.
  std::optional<int64_t> key_frame_between(int64_t last, int64_t target) const {
    if (shown.empty()) return std::nullopt;
    const auto at = [&](int64_t index) {
      return shown[static_cast<size_t>(std::max<int64_t>(index, 0))];
    };
    const auto key = std::upper_bound(key_frames.begin(), key_frames.end(), at(target));
    if (key == key_frames.begin() || *(key - 1) <= at(last + 1)) return std::nullopt;
    return *(key - 1);
  }
};

Result<Timeline> read_timeline(AvInput& input, const AVStream& stream) {
  G4_RETURN_IF_ERROR(input.select(stream));
  const std::unique_ptr<AVPacket, FreePacket> packet(av_packet_alloc());
  Timeline timeline;
  bool has_times = true;
  while (input.next_packet(*packet)) {
    if ((packet->flags & AV_PKT_FLAG_DISCARD) != 0) continue;
    ++timeline.packets;
    has_times = has_times && packet->pts != AV_NOPTS_VALUE;
    if (!has_times) continue;
    timeline.shown.push_back(packet->pts);
    if ((packet->flags & AV_PKT_FLAG_KEY) != 0) timeline.key_frames.push_back(packet->pts);
  }
  G4_RETURN_IF_ERROR(input.check_time());
  std::sort(timeline.shown.begin(), timeline.shown.end());
  std::sort(timeline.key_frames.begin(), timeline.key_frames.end());
  if (!has_times ||
      std::adjacent_find(timeline.shown.begin(), timeline.shown.end()) != timeline.shown.end())
    timeline.shown.clear();
  return timeline;
}

// `rgba` [height, width, 4], rows `stride` bytes apart, over white.
void blend_over_white(const uint8_t* rgba, int stride, Image& image) {
  uint8_t* out = image.rgb.data();
  for (int64_t y = 0; y < image.height; ++y)
    for (int64_t x = 0; x < image.width; ++x) {
      const uint8_t* pixel = rgba + y * stride + 4 * x;
      const int alpha = pixel[3];
      for (int c = 0; c < 3; ++c)
        *out++ = static_cast<uint8_t>((pixel[c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}

// Frames as RGB pictures.
class Painter {
 public:
  explicit Painter(FrameAlpha alpha) : alpha_(alpha) {}

  Result<Image> paint(const AVFrame& frame) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
    const bool blends = alpha_ == FrameAlpha::kOverWhite && description != nullptr &&
                        (description->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
    const AVPixelFormat target = blends ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    scaler_.reset(sws_getCachedContext(
        scaler_.release(), frame.width, frame.height, format, frame.width, frame.height, target,
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, nullptr, nullptr,
        nullptr));
    // A buffer of the library's own, whose rows it may write a little beyond.
    const std::unique_ptr<AVFrame, FreeFrame> out(av_frame_alloc());
    if (scaler_ == nullptr || out == nullptr) return failed("this format of pixels is unknown");
    const int* matrix = sws_getCoefficients(frame.colorspace == AVCOL_SPC_UNSPECIFIED
                                                ? SWS_CS_DEFAULT
                                                : static_cast<int>(frame.colorspace));
    sws_setColorspaceDetails(scaler_.get(), matrix, frame.color_range == AVCOL_RANGE_JPEG ? 1 : 0,
                             matrix, 1, 0, 1 << 16, 1 << 16);
    out->format = target;
    out->width = frame.width;
    out->height = frame.height;
    int code = av_frame_get_buffer(out.get(), 0);
    if (code >= 0)
      code = sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, out->data,
                       out->linesize);
    if (code < 0) return failed(av_reason(code));
    Image image{frame.width, frame.height, {}};
    image.rgb.resize(static_cast<size_t>(image.width * image.height * 3));
    if (blends)
      blend_over_white(out->data[0], out->linesize[0], image);
    else
      av_image_copy_plane(image.rgb.data(), frame.width * 3, out->data[0], out->linesize[0],
                          frame.width * 3, frame.height);
    return image;
  }

 private:
  static Error failed(const std::string& reason) {
    return {ErrorCode::kUnsupported, "a frame cannot be made a picture: " + reason};
  }
  FrameAlpha alpha_;
  std::unique_ptr<SwsContext, FreeScaler> scaler_;
};

// How the frames of a stream become upright, as EXIF says it: one of the quarter turns, perhaps
// mirrored, that is nearest to the stream's matrix; x' = a x + c y, y' = b x + d y.
int orientation_of(const AVStream& stream) {
  size_t size = 0;
  const uint8_t* side_data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  std::array<int32_t, 9> matrix{};
  if (side_data == nullptr || size < sizeof matrix) return 1;
  std::memcpy(matrix.data(), side_data, sizeof matrix);
  const int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
  if (a == 0 && b == 0 && c == 0 && d == 0) return 1;
  if (std::abs(a) + std::abs(d) >= std::abs(b) + std::abs(c))
    return a >= 0 ? (d >= 0 ? 1 : 4) : (d >= 0 ? 2 : 3);
  return b >= 0 ? (c >= 0 ? 5 : 6) : (c >= 0 ? 8 : 7);
}

VideoSummary summarise(const AvInput& input, const AVStream& stream, const Timeline& timeline) {
  VideoSummary summary;
  summary.total_frames = timeline.packets;
  summary.has_sound = input.find(AVMEDIA_TYPE_AUDIO) != nullptr;
  const AVRational rate =
      stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  summary.fps = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
  summary.fps_is_assumed = !(summary.fps > 0);
  if (summary.fps_is_assumed) summary.fps = kAssumedFps;
  return summary;
}

}  // namespace

Result<bool> has_moving_pictures(std::span<const std::byte> file, const std::string& name) {
  const VideoLimits limits;
  G4_ASSIGN_OR_RETURN(const auto input, AvInput::open(file, name,
                                                      {.max_file_bytes = limits.max_file_bytes,
                                                       .max_seconds = limits.max_seconds,
                                                       .max_pixels = limits.max_pixels}));
  // A name alone can make FFmpeg expect a stream, of which it then finds no size and no rate.
  const AVStream* const pictures = input->find(AVMEDIA_TYPE_VIDEO);
  if (pictures != nullptr && pictures->codecpar->width > 0) return true;
  const AVStream* const sound = input->find(AVMEDIA_TYPE_AUDIO);
  if (sound != nullptr && sound->codecpar->sample_rate > 0) return false;
  return Error{ErrorCode::kInvalidData, "holds neither sound nor moving pictures"};
}

Result<VideoSummary> decode_video(std::span<const std::byte> file, const VideoSampling& sampling,
                                  const VideoLimits& limits, const FrameConsumer& consume,
                                  const std::string& name) {
  constexpr int kMostThreads = 4;  // each keeps frames of its own
  G4_ASSIGN_OR_RETURN(
      const auto input,
      AvInput::open(file, name,
                    {.max_file_bytes = limits.max_file_bytes,
                     .max_seconds = limits.max_seconds,
                     .max_pixels = limits.max_pixels,
                     .threads = std::min(kMostThreads, ThreadPool::available_cores())}));
  const AVStream* stream = input->find(AVMEDIA_TYPE_VIDEO);
  if (stream == nullptr) return Error{ErrorCode::kInvalidData, "holds no moving pictures"};
  const int64_t pixels = int64_t{stream->codecpar->width} * stream->codecpar->height;
  if (pixels > limits.max_pixels)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("has frames of ", stream->codecpar->width, "x", stream->codecpar->height,
                         ", more than the ", limits.max_pixels, " pixels that are taken")};
  G4_ASSIGN_OR_RETURN(const Timeline timeline, read_timeline(*input, *stream));
  VideoSummary summary = summarise(*input, *stream, timeline);
  const std::vector<int64_t> wanted = sampled_frames(summary.total_frames, summary.fps, sampling);
  summary.frames_left_out = wanted_frames(summary.total_frames, summary.fps, sampling) -
                            static_cast<int64_t>(wanted.size());
  const int orientation = orientation_of(*stream);

  G4_RETURN_IF_ERROR(input->select(*stream));
  Painter painter(sampling.alpha);
  Image last_image;
  int64_t last = -1;  // the frame decoded last
  int64_t jumped = INT64_MIN;
  size_t next = 0;  // of `wanted`
  const auto give = [&](Image image) {
    const int64_t index = wanted[next++];
    return consume({std::move(image), index, static_cast<double>(index) / summary.fps});
  };
  const auto take = [&](AVFrame& frame) -> Result<bool> {
    last = std::max(last, timeline.index_of(frame.best_effort_timestamp, last));
    if (next < wanted.size() && last >= wanted[next]) {
      G4_ASSIGN_OR_RETURN(Image image, painter.paint(frame));
      last_image = oriented(std::move(image), orientation);
      while (next < wanted.size() && last >= wanted[next]) G4_RETURN_IF_ERROR(give(last_image));
    }
    if (next == wanted.size()) return false;
    const auto key = timeline.key_frame_between(last, wanted[next]);
    if (key && *key > jumped) input->jump_to(jumped = *key);  // once: it may not be found
    return true;
  };
  G4_RETURN_IF_ERROR(input->decode(*stream, take));
  // Some codecs have packets that show nothing: then one more is counted than can be seen.
  summary.is_damaged = input->is_damaged() || next + 1 < wanted.size();
  if (last_image.rgb.empty())
    return Error{ErrorCode::kInvalidData, "holds no frame that can be decoded"};
  while (next < wanted.size()) G4_RETURN_IF_ERROR(give(last_image));
  return summary;
}

}  // namespace gemma4::media
