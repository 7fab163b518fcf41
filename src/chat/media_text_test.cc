#include "chat/media_text.h"

#include <gtest/gtest.h>

#include "chat/chat_format.h"

namespace gemma4::chat {
namespace {

using Type = ContentPart::Type;

std::vector<Message> picture_and_text() {
  return {{.role = "user",
           .content = std::vector<ContentPart>{{.type = Type::kImage},
                                               {.text = "  Describe <|image|>. "}}}};
}

TEST(MediaText, OnlyTheTemplatesPlaceholdersAreExpanded) {
  const MediaText media[] = {{Type::kImage, image_text(2)}};
  const auto prompt =
      expand_media(render(picture_and_text(), {.empty_thought = false}).value(), media);
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_EQ(to_string(prompt.value()),
            "<bos><|turn>user\n<|image><|image|><|image|><image|>Describe <|image|>.<turn|>\n"
            "<|turn>model\n");
}

TEST(MediaText, EachTypeHasItsOwnOrder) {
  std::vector<PromptPart> prompt = {{"<|image|><|audio|><|image|>", true}};
  const MediaText media[] = {{Type::kAudio, "A"}, {Type::kImage, "1"}, {Type::kImage, "2"}};
  EXPECT_EQ(to_string(expand_media(prompt, media).value()), "1A2");
}

TEST(MediaText, NumbersMustAgree) {
  const auto prompt = render(picture_and_text(), {}).value();
  EXPECT_EQ(expand_media(prompt, {}).error().message, "the messages have more pictures than given");
  const MediaText two[] = {{Type::kImage, "1"}, {Type::kImage, "2"}};
  EXPECT_EQ(expand_media(prompt, two).error().message,
            "the messages have fewer pictures than given");
  const MediaText sound[] = {{Type::kImage, "1"}, {Type::kAudio, "A"}};
  EXPECT_FALSE(expand_media(prompt, sound).ok());
}

}  // namespace
}  // namespace gemma4::chat
