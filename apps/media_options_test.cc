#include "apps/media_options.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace gemma4::apps {
namespace {

using Kind = GivenMedium::Kind;

std::vector<std::pair<Kind, std::string>> given(std::vector<std::string> line) {
  CLI::App app;
  CLI::App* const command = app.add_subcommand("run");
  add_given_media(*command);
  std::string prompt;
  command->add_option("-p", prompt);
  line.insert(line.begin(), "run");
  std::reverse(line.begin(), line.end());  // as CLI11 takes it
  app.parse(line);
  std::vector<std::pair<Kind, std::string>> all;
  for (const auto& [kind, source] : given_media(*command)) all.emplace_back(kind, source);
  return all;
}

TEST(MediaOptions, KeepTheOrderOfTheCommandLine) {
  using All = std::vector<std::pair<Kind, std::string>>;
  EXPECT_EQ(given({}), All());
  EXPECT_EQ(given({"--audio", "a", "--image", "b", "-p", "Hi", "--video", "c", "--image", "d",
                   "--audio", "e"}),
            (All{{Kind::kAudio, "a"},
                 {Kind::kImage, "b"},
                 {Kind::kVideo, "c"},
                 {Kind::kImage, "d"},
                 {Kind::kAudio, "e"}}));
  // Several after one name, and the other way of writing it
  EXPECT_EQ(
      given({"--image", "a", "b", "--audio=c", "--image=d"}),
      (All{{Kind::kImage, "a"}, {Kind::kImage, "b"}, {Kind::kAudio, "c"}, {Kind::kImage, "d"}}));
}

}  // namespace
}  // namespace gemma4::apps
