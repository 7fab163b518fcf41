#include "chat/marked_text.h"

#include <gtest/gtest.h>

namespace gemma4::chat {
namespace {

using Pieces = std::vector<MarkedText::Piece>;

TEST(MarkedText, CutsAtMarkers) {
  const Markers markers = MarkedText::markers();
  MarkedText marked;
  const Pieces expected = {{MarkedText::kText, "a<b"},
                           {markers.channel_open, ""},
                           {markers.channel_close, ""},
                           {MarkedText::kText, "<|x"}};
  EXPECT_EQ(marked.push("a<b<|channel><channel|><|x"), expected);
  EXPECT_TRUE(marked.finish().empty());
}

TEST(MarkedText, WithholdsWhatCouldBecomeAMarker) {
  MarkedText marked;
  EXPECT_EQ(marked.push("a<|tool_"), (Pieces{{MarkedText::kText, "a"}}));
  EXPECT_TRUE(marked.push("cal").empty());
  EXPECT_EQ(marked.push("l>"), (Pieces{{*MarkedText::markers().tool_call_open, ""}}));
  EXPECT_TRUE(marked.push("<").empty());
  EXPECT_EQ(marked.push("<tu"), (Pieces{{MarkedText::kText, "<"}}));
  EXPECT_EQ(marked.finish(), (Pieces{{MarkedText::kText, "<tu"}}));
  EXPECT_TRUE(marked.finish().empty());
}

TEST(MarkedText, NoMarkerBeginsAnother) {
  // What push() relies on: the first that matches is the only one.
  MarkedText marked;
  for (const char* text : {"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|\"|>",
                           "<eos>", "<turn|>", "<|tool_response>"})
    EXPECT_EQ(marked.push(text).size(), 1U) << text;
}

}  // namespace
}  // namespace gemma4::chat
