#include "chat/media_prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat/chat_format.h"

namespace gemma4::chat {
namespace {

using ::testing::HasSubstr;
using Type = ContentPart::Type;

std::string times(int count, const std::string& text) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

Result<std::string> expanded(const std::vector<ContentPart>& parts,
                             const std::vector<MediaSize>& media) {
  const std::vector<Message> messages = {{.role = "user", .content = parts}};
  G4_ASSIGN_OR_RETURN(const auto prompt, render(messages, {}));
  G4_ASSIGN_OR_RETURN(const auto out, expand_media(prompt, media));
  return to_string(out);
}

// multimodal-prompt.md, section 10.
TEST(MediaPrompt, APictureAndASoundBeforeText) {
  const auto prompt =
      expanded({{.type = Type::kImage}, {.type = Type::kAudio}, {.text = "Hi"}},
               {{.type = Type::kImage, .counts = {260}}, {.type = Type::kAudio, .counts = {80}}});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_THAT(prompt.value(),
              HasSubstr("<|turn>user\n<|image>" + times(260, "<|image|>") + "<image|><|audio>" +
                        times(80, "<|audio|>") + "<audio|>Hi<turn|>\n"));
}

// video.md, sections 4 and 6.
TEST(MediaPrompt, AFilmIsItsFramesWithTimes) {
  const auto prompt = expanded(
      {{.type = Type::kVideo}, {.text = "What happens?"}},
      {{.type = Type::kVideo, .counts = {66, 66, 66}, .stamps = {"00:00", "00:01", "00:02"}}});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  const std::string frame = "<|image>" + times(66, "<|video|>") + "<image|>";
  EXPECT_THAT(prompt.value(), HasSubstr("user\n00:00 " + frame + " 00:01 " + frame + " 00:02 " +
                                        frame + "What happens?<turn|>\n"));
}

TEST(MediaPrompt, MediaOfAKindKeepTheirOrder) {
  const auto prompt = expanded(
      {{.type = Type::kAudio}, {.text = "a"}, {.type = Type::kImage}, {.type = Type::kAudio}},
      {{.type = Type::kImage, .counts = {1}},
       {.type = Type::kAudio, .counts = {2}},
       {.type = Type::kAudio, .counts = {3}}});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_THAT(prompt.value(),
              HasSubstr("<|audio><|audio|><|audio|><audio|>a<|image><|image|><image|><|audio>"
                        "<|audio|><|audio|><|audio|><audio|>"));
}

TEST(MediaPrompt, WhatTheRequestWroteIsText) {
  const auto prompt = expanded({{.text = "what is <|image|>?"}, {.type = Type::kAudio}},
                               {{.type = Type::kAudio, .counts = {1}}});
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_THAT(prompt.value(), HasSubstr("what is <|image|>?<|audio><|audio|><audio|>"));
}

TEST(MediaPrompt, CountsMustAgree) {
  const auto missing = expanded({{.type = Type::kAudio}, {.type = Type::kAudio}},
                                {{.type = Type::kAudio, .counts = {1}}});
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("2 places for a sound, and 1"));
  const auto spare = expanded({{.text = "a"}}, {{.type = Type::kImage, .counts = {1}}});
  ASSERT_FALSE(spare.ok());
  EXPECT_THAT(spare.error().message, HasSubstr("0 places for a picture, and 1"));
}

}  // namespace
}  // namespace gemma4::chat
