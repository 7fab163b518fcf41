#include "serve/openai/transcriptions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "media/sound_pieces.h"

namespace gemma4::serve::openai {
namespace {

using ::testing::HasSubstr;
using Kind = AnswerEvent::Kind;

ChatRequest of_clips(size_t count) {
  ChatRequest request;
  request.conversations.resize(count);
  return request;
}

// The deltas of an event; "" where nothing is written.
std::string delta_of(const std::string& sent) {
  if (sent.empty()) return "";
  const auto json = json::parse(std::string_view(sent).substr(6)).value();
  EXPECT_EQ(json.find("type")->as_string(), "transcript.text.delta");
  return std::string(json.find("delta")->as_string());
}

TEST(Transcriptions, ClipsThatComeEarlyWaitForTheirTurn) {
  const auto writer = transcriptions_endpoint({}).stream({}, of_clips(3));
  const auto say = [&](int clip, const std::string& text) {
    return delta_of(writer->write({.kind = Kind::kContent, .choice = clip, .text = text}));
  };
  const auto finish = [&](int clip) {
    return delta_of(writer->write({.kind = Kind::kFinished, .choice = clip}));
  };
  EXPECT_EQ(say(1, " there was"), "");
  EXPECT_EQ(say(0, " Once"), "Once");
  EXPECT_EQ(say(0, " "), "");  // perhaps the end
  EXPECT_EQ(say(0, "upon"), " upon");
  EXPECT_EQ(say(2, "\n"), "");
  EXPECT_EQ(finish(2), "");
  EXPECT_EQ(say(0, "\n"), "");
  EXPECT_EQ(finish(0), " there was");
  EXPECT_EQ(say(1, " a clock."), " a clock.");
  EXPECT_EQ(finish(1), "");
  EXPECT_THAT(writer->end({.prompt_tokens = 3, .completion_tokens = 4}),
              HasSubstr(R"("text":"Once upon there was a clock.","usage":{"type":"tokens",)"
                        R"("input_tokens":3,"output_tokens":4,"total_tokens":7}})"));
}

TEST(Transcriptions, WholeAnswersAreJoinedAsStreamsAre) {
  ChatRequest request = of_clips(3);
  std::vector<WholeAnswer> answers(3);
  answers[0].content = " One\n";
  answers[2].content = "two. ";
  const Endpoint endpoint = transcriptions_endpoint({});
  EXPECT_EQ(endpoint.whole({}, request, answers, {}).find("text")->as_string(), "One two.");
  request.plain_text = true;
  EXPECT_EQ(endpoint.whole({}, request, answers, {}).as_string(), "One two.");
}

TEST(Transcriptions, SoundsHaveALimit) {
  if (!media::decodes_av()) GTEST_SKIP() << "this build has no decoders of sound (GEMMA4_AV=OFF)";
  const Endpoint endpoint = transcriptions_endpoint({.max_samples = 100});
  const auto ask = [&](int64_t samples) {
    const std::vector<float> sound(static_cast<size_t>(samples), 0.1f);
    return endpoint.read(
        {.headers = {{"content-type", "multipart/form-data; boundary=XX"}}},
        str_cat("--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n",
                media::wav_of(sound), "\r\n--XX--"));
  };
  const auto most = ask(100 * kTranscriptionClips);
  ASSERT_TRUE(most.ok()) << most.error().message;
  EXPECT_GE(std::ssize(most.value().conversations), kTranscriptionClips);
  const auto more = ask(100 * kTranscriptionClips + 1);
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, HasSubstr("file: the sound is longer than"));
}

}  // namespace
}  // namespace gemma4::serve::openai
