#include "tests/film_testing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include "base/check.h"

namespace gemma4::testing {
namespace {

struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
struct FreeCodec {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
};

// A file in memory that muxers may go back in.
struct Bytes {
  std::string data;
  size_t at = 0;

  static int write(void* self, uint8_t* bytes, int size) {
    auto& file = *static_cast<Bytes*>(self);
    const auto count = static_cast<size_t>(size);
    if (file.data.size() < file.at + count) file.data.resize(file.at + count);
    std::memcpy(file.data.data() + file.at, bytes, count);
    file.at += count;
    return size;
  }
  static int64_t seek(void* self, int64_t offset, int whence) {
    auto& file = *static_cast<Bytes*>(self);
    if (whence == AVSEEK_SIZE) return static_cast<int64_t>(file.data.size());
    G4_CHECK(whence == SEEK_SET && offset >= 0);
    file.at = static_cast<size_t>(offset);
    return offset;
  }
};

class Muxer {
 public:
  explicit Muxer(const std::string& format) {
    G4_CHECK(avformat_alloc_output_context2(&format_, nullptr, format.c_str(), nullptr) >= 0);
    constexpr int kBuffer = 1 << 16;
    format_->pb = avio_alloc_context(static_cast<unsigned char*>(av_malloc(kBuffer)), kBuffer, 1,
                                     &file_, nullptr, &Bytes::write, &Bytes::seek);
    format_->flags |= AVFMT_FLAG_BITEXACT;
  }
  ~Muxer() {
    av_freep(&format_->pb->buffer);
    avio_context_free(&format_->pb);
    avformat_free_context(format_);
  }
  Muxer(const Muxer&) = delete;
  Muxer& operator=(const Muxer&) = delete;

  AVStream* add(AVCodecContext& encoder) {
    if ((format_->oformat->flags & AVFMT_GLOBALHEADER) != 0)
      encoder.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    encoder.flags |= AV_CODEC_FLAG_BITEXACT;
    G4_CHECK(avcodec_open2(&encoder, encoder.codec, nullptr) >= 0);
    AVStream* stream = avformat_new_stream(format_, nullptr);
    G4_CHECK(stream != nullptr);
    G4_CHECK(avcodec_parameters_from_context(stream->codecpar, &encoder) >= 0);
    stream->time_base = encoder.time_base;
    return stream;
  }
  void begin() { G4_CHECK(avformat_write_header(format_, nullptr) >= 0); }
  // `frame` null: what the encoder still holds.
  void encode(AVCodecContext& encoder, const AVStream& stream, const AVFrame* frame) {
    G4_CHECK(avcodec_send_frame(&encoder, frame) >= 0);
    const std::unique_ptr<AVPacket, FreePacket> packet(av_packet_alloc());
    while (avcodec_receive_packet(&encoder, packet.get()) >= 0) {
      packet->stream_index = stream.index;
      av_packet_rescale_ts(packet.get(), encoder.time_base, stream.time_base);
      G4_CHECK(av_interleaved_write_frame(format_, packet.get()) >= 0);
    }
  }
  std::string finish() {
    G4_CHECK(av_write_trailer(format_) >= 0);
    avio_flush(format_->pb);
    return std::move(file_.data);
  }

 private:
  AVFormatContext* format_ = nullptr;
  Bytes file_;
};

struct Track {
  std::unique_ptr<AVCodecContext, FreeCodec> encoder;
  AVStream* stream = nullptr;
};

Track new_track(AVCodecID id) {
  const AVCodec* codec = avcodec_find_encoder(id);
  G4_CHECK(codec != nullptr);
  return {std::unique_ptr<AVCodecContext, FreeCodec>(avcodec_alloc_context3(codec))};
}

Track add_pictures(Muxer& muxer, const FilmPictures& pictures, int fps) {
  Track track = new_track(AV_CODEC_ID_MPEG4);
  AVCodecContext& encoder = *track.encoder;
  encoder.width = pictures.width;
  encoder.height = pictures.height;
  encoder.pix_fmt = AV_PIX_FMT_YUV420P;
  encoder.time_base = {1, fps};
  encoder.framerate = {fps, 1};
  encoder.gop_size = 5;
  encoder.bit_rate = 2'000'000;
  track.stream = muxer.add(encoder);
  track.stream->avg_frame_rate = {fps, 1};
  const auto& [a, b, c, d] = pictures.matrix;
  if (a == 0 && b == 0 && c == 0 && d == 0) return track;
  const std::array<int32_t, 9> matrix = {a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30};
  std::memcpy(av_stream_new_side_data(track.stream, AV_PKT_DATA_DISPLAYMATRIX, sizeof matrix),
              matrix.data(), sizeof matrix);
  return track;
}

void encode_pictures(Muxer& muxer, const Track& track, const FilmPictures& pictures) {
  const std::unique_ptr<AVFrame, FreeFrame> frame(av_frame_alloc());
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = pictures.width;
  frame->height = pictures.height;
  G4_CHECK(av_frame_get_buffer(frame.get(), 0) >= 0);
  for (int i = 0; i < pictures.frames; ++i) {
    G4_CHECK(av_frame_make_writable(frame.get()) >= 0);
    for (int plane = 0; plane < 3; ++plane) {
      const int shift = plane == 0 ? 0 : 1;
      for (int y = 0; y < pictures.height >> shift; ++y)
        for (int x = 0; x < pictures.width >> shift; ++x) {
          const bool white = 2 * x < pictures.width >> shift && 2 * y < pictures.height >> shift;
          // Grey of full range in the limited range of films
          const int luma = white ? 235 : 16 + (20 + 8 * i) * 219 / 255;
          frame->data[plane][y * frame->linesize[plane] + x] =
              static_cast<uint8_t>(plane == 0 ? luma : 128);
        }
    }
    frame->pts = i;
    muxer.encode(*track.encoder, *track.stream, frame.get());
  }
  muxer.encode(*track.encoder, *track.stream, nullptr);
}

// MP4 and MPEG streams have no uncompressed sound.
bool takes_pcm(const std::string& format) { return format != "mp4" && format != "mpegts"; }

Track add_sound(Muxer& muxer, const FilmSound& sound, bool pcm) {
  Track track = new_track(pcm ? AV_CODEC_ID_PCM_S16LE : AV_CODEC_ID_AAC);
  AVCodecContext& encoder = *track.encoder;
  encoder.sample_fmt = pcm ? AV_SAMPLE_FMT_S16 : AV_SAMPLE_FMT_FLTP;
  encoder.sample_rate = sound.rate;
  av_channel_layout_default(&encoder.ch_layout, sound.channels);
  encoder.time_base = {1, sound.rate};
  track.stream = muxer.add(encoder);
  return track;
}

void fill(AVFrame& frame, double value) {
  if (frame.format == AV_SAMPLE_FMT_S16) {
    auto* const samples = reinterpret_cast<int16_t*>(frame.data[0]);
    std::fill_n(samples, frame.nb_samples * frame.ch_layout.nb_channels,
                static_cast<int16_t>(std::lround(32768 * value)));
    return;
  }
  for (int i = 0; i < frame.ch_layout.nb_channels; ++i)
    std::fill_n(reinterpret_cast<float*>(frame.extended_data[i]), frame.nb_samples,
                static_cast<float>(value));
}

void encode_sound(Muxer& muxer, const Track& track, const FilmSound& sound) {
  constexpr int kFrame = 1024;  // what AAC takes; PCM takes any
  const std::unique_ptr<AVFrame, FreeFrame> frame(av_frame_alloc());
  const int total = static_cast<int>(std::lround(sound.seconds * sound.rate));
  for (int begin = 0; begin < total; begin += kFrame) {
    frame->format = track.encoder->sample_fmt;
    frame->nb_samples = std::min(kFrame, total - begin);
    frame->sample_rate = sound.rate;
    G4_CHECK(av_channel_layout_copy(&frame->ch_layout, &track.encoder->ch_layout) >= 0);
    G4_CHECK(av_frame_get_buffer(frame.get(), 0) >= 0);
    fill(*frame, sound.value);
    frame->pts = begin;
    muxer.encode(*track.encoder, *track.stream, frame.get());
    av_frame_unref(frame.get());
  }
  muxer.encode(*track.encoder, *track.stream, nullptr);
}

}  // namespace

std::string make_film(const FilmTracks& tracks) {
  Muxer muxer(tracks.format);
  std::vector<Track> pictures, sounds;
  for (const FilmPictures& track : tracks.pictures)
    pictures.push_back(add_pictures(muxer, track, tracks.fps));
  for (const FilmSound& track : tracks.sounds)
    sounds.push_back(add_sound(muxer, track, takes_pcm(tracks.format)));
  muxer.begin();
  for (size_t i = 0; i < pictures.size(); ++i)
    encode_pictures(muxer, pictures[i], tracks.pictures[i]);
  for (size_t i = 0; i < sounds.size(); ++i) encode_sound(muxer, sounds[i], tracks.sounds[i]);
  return muxer.finish();
}

}  // namespace gemma4::testing
