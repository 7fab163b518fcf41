// FFmpeg's demuxer and decoders over bytes in memory: they open nothing else, say nothing, and stop
// when their time is over.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include "base/result.h"

namespace gemma4::media {

struct AvInputOptions {
  uint64_t max_file_bytes = 0;
  double max_seconds = 0;  // from opening on
  int64_t max_pixels = 0;  // of a frame
  int threads = 1;
};

class AvInput {
 public:
  // `file` must outlive it; `name` hints at the format.
  static Result<std::unique_ptr<AvInput>> open(std::span<const std::byte> file,
                                               const std::string& name,
                                               const AvInputOptions& options);
  ~AvInput();
  AvInput(const AvInput&) = delete;
  AvInput& operator=(const AvInput&) = delete;

  // The best stream of a kind, null when there is none. Pictures that belong to a sound are none.
  AVStream* find(AVMediaType kind) const;
  // Packets of other streams are skipped from now on; back to the beginning.
  Status select(const AVStream& stream);

  // The next packet of the selected stream; false at the end, or when the time is over.
  bool next_packet(AVPacket& packet);
  // Decodes the selected stream to its end, or until `consume` returns false or an error. Packets
  // that cannot be decoded are left out and counted.
  Status decode(const AVStream& stream, const std::function<Result<bool>(AVFrame&)>& consume);

  // While decoding: goes on with the key frame that is shown at `time`, in the stream's units.
  void jump_to(int64_t time) { jump_ = time; }

  // kResourceExhausted when the time is over.
  Status check_time() const;
  // Whether packets could not be decoded. Those before the first frame, which may be headers that
  // the decoder has already, count only where no frame comes at all.
  bool is_damaged() const { return damaged_packets_ > 0 || (!has_frame_ && early_failures_ > 0); }

 private:
  AvInput() = default;
  bool is_over() const;
  static int read(void* self, uint8_t* buffer, int size);
  static int64_t seek(void* self, int64_t offset, int whence);

  std::span<const std::byte> file_;
  int64_t position_ = 0;
  AvInputOptions options_;
  std::chrono::steady_clock::time_point deadline_;
  AVIOContext* io_ = nullptr;
  AVFormatContext* format_ = nullptr;
  int selected_ = -1;
  std::optional<int64_t> jump_;
  bool has_frame_ = false;
  int64_t early_failures_ = 0;
  int64_t damaged_packets_ = 0;
};

// "the decoder of vorbis failed" → with FFmpeg's reason
std::string av_reason(int code);

// Owners of what decoding needs
struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
struct FreeCodec {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
};

}  // namespace gemma4::media
