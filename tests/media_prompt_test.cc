// The worked examples of video.md, sections 4 and 6, and multimodal-prompt.md, sections 3, 6 and
// 10: what media become in a prompt, as text, as ids of the real vocabulary, and as spans.
//
// The vocabulary is fetched by scripts/fetch_vocabulary.sh and is not part of the project.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "chat/media_text.h"
#include "chat/tokens.h"
#include "media/image_processor.h"
#include "media/log_mel.h"
#include "media/video.h"
#include "model/soft_tokens.h"

namespace gemma4 {
namespace {

using chat::ContentPart;
using chat::MediaText;
using model::MediaItem;
using model::MediaKind;
using Ids = std::vector<text::TokenId>;
using Type = ContentPart::Type;
using ::testing::ElementsAre;

// A film of `frames` frames, one each second, of `count` soft tokens.
std::string film_text(int64_t frames, int64_t count) {
  std::string text;
  for (int64_t i = 0; i < frames; ++i)
    text +=
        (i == 0 ? "" : " ") + chat::frame_text(media::time_stamp(static_cast<double>(i)), count);
  return text;
}

std::string repeated(const std::string& text, int64_t count) {
  std::string out;
  for (int64_t i = 0; i < count; ++i) out += text;
  return out;
}

std::vector<chat::PromptPart> prompt_of(std::vector<ContentPart> parts,
                                        const std::vector<MediaText>& media) {
  const std::vector<chat::Message> messages = {{.role = "user", .content = std::move(parts)}};
  return chat::expand_media(chat::render(messages, {.empty_thought = false}).value(), media)
      .value();
}

// Rows that mean nothing
MediaItem item(MediaKind kind, int64_t count) {
  return {kind, std::make_shared<const model::SoftTokens>(
                    model::SoftTokens{1, std::vector<float>(static_cast<size_t>(count))})};
}

TEST(MediaPrompt, FramesHaveTimesBetweenThem) {
  const std::string frame = "<|image>" + repeated("<|video|>", 66) + "<image|>";
  EXPECT_EQ(film_text(3, 66), "00:00 " + frame + " 00:01 " + frame + " 00:02 " + frame);
}

TEST(MediaPrompt, AFilmBeforeItsQuestionAndItsSoundAfterIt) {
  const std::vector<MediaText> film = {{Type::kVideo, film_text(2, 1)}};
  const std::string frames = "00:00 <|image><|video|><image|> 00:01 <|image><|video|><image|>";
  EXPECT_EQ(chat::to_string(prompt_of({{.type = Type::kVideo}, {.text = "What happens?"}}, film)),
            "<bos><|turn>user\n" + frames + "What happens?<turn|>\n<|turn>model\n");
  const std::vector<MediaText> both = {film[0], {Type::kAudio, chat::audio_text(2)}};
  EXPECT_EQ(chat::to_string(prompt_of(
                {{.type = Type::kVideo}, {.text = "What happens?"}, {.type = Type::kAudio}}, both)),
            "<bos><|turn>user\n" + frames +
                "What happens?<|audio><|audio|><|audio|><audio|><turn|>\n<|turn>model\n");
}

// Sizes of frames: video.md, section 3.
TEST(MediaPrompt, FramesAreSeenAtThePublishedSizes) {
  const auto seen = [](int64_t width, int64_t height) {
    return media::target_size({width, height}, 70).value();
  };
  for (const auto& [width, height] : {std::pair(1920, 1080), {1280, 720}, {640, 360}})
    EXPECT_EQ(seen(width, height), (media::ImageSize{528, 288})) << width;
  EXPECT_EQ(seen(1080, 1920), (media::ImageSize{288, 528}));
  EXPECT_EQ(seen(640, 480), (media::ImageSize{432, 336}));
  EXPECT_EQ(seen(640, 640), (media::ImageSize{384, 384}));
  EXPECT_EQ(seen(1280, 720).patches(), 594);
  EXPECT_EQ(seen(1280, 720).soft_tokens(), 66);
  EXPECT_EQ(seen(640, 480).soft_tokens(), 63);
  EXPECT_EQ(seen(640, 640).soft_tokens(), 64);
}

class MediaPromptIds : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path =
        std::string(GEMMA4_SOURCE_DIR) + "/build/cache/vocabulary/tokenizer.json";
    if (!std::filesystem::exists(path))
      GTEST_SKIP() << path << " is missing; scripts/fetch_vocabulary.sh fetches it";
    auto tokenizer = text::Tokenizer::load(path);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::move(tokenizer).value();
  }
  Ids encode(const std::string& text) const {
    return chat::encode(*tokenizer_, {{text, /*from_template=*/true}});
  }
  std::optional<text::Tokenizer> tokenizer_;
};

TEST_F(MediaPromptIds, TimesAreSixTokensAndThenSeven) {
  const Ids ids = encode(film_text(3, 1));
  ASSERT_EQ(ids.size(), 3u * 3 + 6 + 2 * 7);
  EXPECT_THAT(Ids(ids.begin(), ids.begin() + 9),
              ElementsAre(236771, 236771, 236787, 236771, 236771, 236743, 255999, 258884, 258882));
  EXPECT_THAT(Ids(ids.begin() + 19, ids.begin() + 26),
              ElementsAre(236743, 236771, 236771, 236787, 236771, 236778, 236743));
}

TEST_F(MediaPromptIds, FilmsHaveThePublishedLengths) {
  const std::tuple<int64_t, int64_t, size_t> published[] = {{32, 66, 2399}, {60, 66, 4499},
                                                            {32, 63, 2303}, {60, 63, 4319},
                                                            {32, 64, 2335}, {60, 64, 4379}};
  for (const auto& [frames, count, tokens] : published)
    EXPECT_EQ(encode(film_text(frames, count)).size(), tokens) << frames << " x " << count;
}

// A picture of 640x427 pixels, 3.2 seconds of sound, and "Hi".
TEST_F(MediaPromptIds, APictureAndASoundStandWhereTheyShould) {
  const int64_t rows = media::target_size({640, 427}, 280).value().soft_tokens();
  ASSERT_EQ(rows, 260);
  const int64_t sound = media::num_audio_tokens(media::num_mel_frames(51200));
  ASSERT_EQ(sound, 80);
  const auto prompt =
      prompt_of({{.type = Type::kImage}, {.type = Type::kAudio}, {.text = "Hi"}},
                {{Type::kImage, chat::image_text(rows)}, {Type::kAudio, chat::audio_text(sound)}});
  const Ids ids = chat::encode(*tokenizer_, prompt);
  ASSERT_GT(ids.size(), 352u);
  EXPECT_EQ(ids[0], 2);
  EXPECT_EQ(ids[1], 105);
  EXPECT_EQ(ids[3], 107);
  EXPECT_EQ(ids[4], 255999);
  EXPECT_EQ(std::count(ids.begin() + 5, ids.begin() + 265, 258880), 260);
  EXPECT_EQ(ids[265], 258882);
  EXPECT_EQ(ids[266], 256000);
  EXPECT_EQ(std::count(ids.begin() + 267, ids.begin() + 347, 258881), 80);
  EXPECT_EQ(ids[347], 258883);
  EXPECT_EQ(ids.size(), 354u);
  EXPECT_THAT(Ids(ids.begin() + 349, ids.begin() + 352), ElementsAre(106, 107, 105));
  EXPECT_EQ(ids.back(), 107);

  const model::MediaTokenIds placeholders{.image = 258880, .audio = 258881, .video = 258884};
  const auto spans = model::place_media(
      placeholders, ids,
      std::vector<MediaItem>{item(MediaKind::kAudio, sound), item(MediaKind::kImage, rows)});
  ASSERT_TRUE(spans.ok()) << spans.error().message;
  ASSERT_EQ(spans.value().size(), 2u);
  EXPECT_EQ(spans.value()[0].position, 5);
  EXPECT_EQ(spans.value()[0].end(), 265);
  EXPECT_EQ(spans.value()[1].position, 267);
  EXPECT_EQ(spans.value()[1].end(), 347);
  model::TextConfig text;
  EXPECT_TRUE(model::vision_blocks(text, spans.value()).empty());
  text.bidirectional_vision = true;
  const auto blocks = model::vision_blocks(text, spans.value());
  ASSERT_EQ(blocks.size(), 1u);  // the sound is in none
  EXPECT_EQ(blocks[0].begin, 5);
  EXPECT_EQ(blocks[0].end, 265);
}

// Frames do not see later frames: between two blocks there is text.
TEST_F(MediaPromptIds, EveryFrameIsABlockOfItsOwn) {
  const Ids ids = encode(film_text(3, 4));
  const std::vector<MediaItem> frames(3, item(MediaKind::kVideo, 4));
  const auto spans =
      model::place_media({.image = 258880, .audio = 258881, .video = 258884}, ids, frames);
  ASSERT_TRUE(spans.ok()) << spans.error().message;
  model::TextConfig text;
  text.bidirectional_vision = true;
  const auto blocks = model::vision_blocks(text, spans.value());
  ASSERT_EQ(blocks.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(blocks[i].begin, 7 + 13 * static_cast<int64_t>(i));  // 7 of time, markers, 4 rows
    EXPECT_EQ(blocks[i].end - blocks[i].begin, 4);
  }
  // One frame too few, one row too many
  EXPECT_FALSE(model::place_media({.image = 258880, .audio = 258881, .video = 258884}, ids,
                                  std::span(frames).first(2))
                   .ok());
  EXPECT_FALSE(model::place_media({.image = 258880, .audio = 258881, .video = 258884}, ids,
                                  std::vector<MediaItem>(3, item(MediaKind::kVideo, 5)))
                   .ok());
}

}  // namespace
}  // namespace gemma4
