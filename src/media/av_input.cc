#include "media/av_input.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string_view>

extern "C" {
#include <libavutil/opt.h>
}

#include "base/strings.h"

namespace gemma4::media {
namespace {

constexpr size_t kMostBytesAtOnce = size_t{1} << 29;  // one allocation of a decoder
constexpr int kBufferBytes = 1 << 16;
// Packets that a decoder may refuse, one after the other, before the rest is given up.
constexpr int kMostFailures = 1000;

// For the whole process: there is no setting for one file.
void quiet_and_limit() {
  static std::once_flag once;
  std::call_once(once, [] {
    av_log_set_level(AV_LOG_QUIET);
    av_max_alloc(kMostBytesAtOnce);
  });
}

Error invalid(std::string what) { return {ErrorCode::kInvalidData, std::move(what)}; }

// Playlists and the like would name other files; nothing but the bytes at hand is read.
int refuse_to_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EPERM);
}

}  // namespace

std::string av_reason(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

bool AvInput::is_over() const { return std::chrono::steady_clock::now() > deadline_; }

Status AvInput::check_time() const {
  if (!is_over()) return {};
  return Error{ErrorCode::kResourceExhausted,
               str_cat("decoding it takes longer than ", options_.max_seconds, " seconds")};
}

int AvInput::read(void* self, uint8_t* buffer, int size) {
  auto& input = *static_cast<AvInput*>(self);
  if (input.is_over()) return AVERROR_EXIT;
  const int64_t left = static_cast<int64_t>(input.file_.size()) - input.position_;
  if (left <= 0) return AVERROR_EOF;
  const auto count = static_cast<size_t>(std::min<int64_t>(left, size));
  std::memcpy(buffer, input.file_.data() + input.position_, count);
  input.position_ += static_cast<int64_t>(count);
  return static_cast<int>(count);
}

int64_t AvInput::seek(void* self, int64_t offset, int whence) {
  auto& input = *static_cast<AvInput*>(self);
  const auto size = static_cast<int64_t>(input.file_.size());
  whence &= ~AVSEEK_FORCE;
  if (whence == AVSEEK_SIZE) return size;
  const int64_t base = whence == SEEK_CUR ? input.position_ : whence == SEEK_END ? size : 0;
  int64_t target = 0;
  if (__builtin_add_overflow(base, offset, &target) || target < 0 || target > size)
    return AVERROR(EINVAL);
  return input.position_ = target;
}

Result<std::unique_ptr<AvInput>> AvInput::open(std::span<const std::byte> file,
                                               const std::string& name,
                                               const AvInputOptions& options) {
  quiet_and_limit();
  if (file.empty()) return invalid("is empty");
  if (file.size() > options.max_file_bytes)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("has ", human_bytes(file.size()), ", more than the ",
                         human_bytes(options.max_file_bytes), " that are taken")};
  std::unique_ptr<AvInput> input(new AvInput());
  input->file_ = file;
  input->options_ = options;
  input->deadline_ = std::chrono::steady_clock::now() +
                     std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                         std::chrono::duration<double>(options.max_seconds));
  auto* const buffer = static_cast<unsigned char*>(av_malloc(kBufferBytes));
  input->io_ = avio_alloc_context(buffer, kBufferBytes, 0, input.get(), &read, nullptr, &seek);
  input->format_ = avformat_alloc_context();
  if (buffer == nullptr || input->io_ == nullptr || input->format_ == nullptr)
    return Error{ErrorCode::kResourceExhausted, "there is no memory to open it"};
  AVFormatContext* format = input->format_;
  format->pb = input->io_;
  format->io_open = refuse_to_open;
  format->protocol_whitelist = av_strdup("none");
  format->max_streams = 64;
  format->interrupt_callback = {
      [](void* self) { return static_cast<AvInput*>(self)->is_over() ? 1 : 0; }, input.get()};
  int code =
      avformat_open_input(&input->format_, name.c_str(), nullptr, nullptr);  // frees on error
  if (code < 0) {
    G4_RETURN_IF_ERROR(input->check_time());
    return Error{ErrorCode::kUnsupported,
                 "is no sound or video in a known format, or is damaged (" + av_reason(code) + ")"};
  }
  // What is text for FFmpeg is drawn as a terminal would draw it.
  if (std::string_view(input->format_->iformat->name) == "tty")
    return Error{ErrorCode::kUnsupported, "is no sound or video, but text"};
  code = avformat_find_stream_info(input->format_, nullptr);
  G4_RETURN_IF_ERROR(input->check_time());
  if (code < 0) return invalid("is damaged: " + av_reason(code));
  return input;
}

AvInput::~AvInput() {
  avformat_close_input(&format_);
  if (io_ != nullptr) av_freep(&io_->buffer);
  avio_context_free(&io_);
}

AVStream* AvInput::find(AVMediaType kind) const {
  const int index = av_find_best_stream(format_, kind, -1, -1, nullptr, 0);
  if (index < 0) return nullptr;
  AVStream* stream = format_->streams[index];
  return (stream->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0 ? nullptr : stream;
}

Status AvInput::select(const AVStream& stream) {
  for (unsigned i = 0; i < format_->nb_streams; ++i)
    format_->streams[i]->discard =
        format_->streams[i]->index == stream.index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  if (selected_ >= 0) {
    // By bytes where a container knows no times of its own.
    int code = avformat_seek_file(format_, -1, INT64_MIN, INT64_MIN, INT64_MAX, 0);
    if (code < 0) code = av_seek_frame(format_, stream.index, 0, AVSEEK_FLAG_BYTE);
    if (code < 0) return invalid("cannot be read twice: " + av_reason(code));
  }
  selected_ = stream.index;
  return {};
}

bool AvInput::next_packet(AVPacket& packet) {
  while (!is_over()) {
    av_packet_unref(&packet);
    const int code = av_read_frame(format_, &packet);
    if (code == AVERROR(EAGAIN)) continue;
    if (code < 0) return false;
    if (packet.stream_index == selected_) return true;
  }
  return false;
}

namespace {

Result<std::unique_ptr<AVCodecContext, FreeCodec>> open_decoder(const AVStream& stream,
                                                                const AvInputOptions& options) {
  const AVCodecID id = stream.codecpar->codec_id;
  const AVCodec* codec = avcodec_find_decoder(id);
  const auto failed = [&](const std::string& reason) {
    return Error{ErrorCode::kUnsupported,
                 str_cat("holds ", avcodec_get_name(id), ", which cannot be decoded: ", reason)};
  };
  if (codec == nullptr) return failed("there is no decoder");
  std::unique_ptr<AVCodecContext, FreeCodec> context(avcodec_alloc_context3(codec));
  if (context == nullptr) return failed("there is no memory");
  int code = avcodec_parameters_to_context(context.get(), stream.codecpar);
  if (code < 0) return failed(av_reason(code));
  context->pkt_timebase = stream.time_base;
  context->thread_count = options.threads;
  if (options.max_pixels > 0) context->max_pixels = options.max_pixels;
  code = avcodec_open2(context.get(), codec, nullptr);
  if (code < 0) return failed(av_reason(code));
  return context;
}

}  // namespace

Status AvInput::decode(const AVStream& stream,
                       const std::function<Result<bool>(AVFrame&)>& consume) {
  G4_ASSIGN_OR_RETURN(const auto decoder, open_decoder(stream, options_));
  const std::unique_ptr<AVPacket, FreePacket> packet(av_packet_alloc());
  const std::unique_ptr<AVFrame, FreeFrame> frame(av_frame_alloc());
  if (packet == nullptr || frame == nullptr)
    return Error{ErrorCode::kResourceExhausted, "there is no memory to decode it"};
  int failures = 0;  // in a row
  const auto count_failure = [&] {
    ++failures;
    ++(has_frame_ ? damaged_packets_ : early_failures_);
  };
  for (bool more = true; more;) {
    more = next_packet(*packet) && failures < kMostFailures;
    G4_RETURN_IF_ERROR(check_time());
    const int sent = avcodec_send_packet(decoder.get(), more ? packet.get() : nullptr);
    if (sent < 0 && more) count_failure();
    for (int received = 0; received >= 0;) {
      received = avcodec_receive_frame(decoder.get(), frame.get());
      if (received < 0) {
        if (received != AVERROR(EAGAIN) && received != AVERROR_EOF) count_failure();
        break;
      }
      failures = 0;
      has_frame_ = true;
      G4_RETURN_IF_ERROR(check_time());
      G4_ASSIGN_OR_RETURN(const bool wants_more, consume(*frame));
      av_frame_unref(frame.get());
      if (!wants_more) return {};
      if (jump_ && av_seek_frame(format_, stream.index, *jump_, AVSEEK_FLAG_BACKWARD) >= 0) {
        avcodec_flush_buffers(decoder.get());
        more = true;
      }
      jump_.reset();
    }
  }
  return {};
}

}  // namespace gemma4::media
