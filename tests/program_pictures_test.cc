// Pictures as a user gives them: a small model that sees, with weights by the formula and the demo
// model's vocabulary. What it says means nothing; constraints say it for it.

#include <filesystem>

#include "media/image.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Pictures : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!media::decodes_images()) GTEST_SKIP() << "this build has no decoders (GEMMA4_IMAGES=OFF)";
    make_seeing_model(GetParam(), folder_);
  }
  std::string picture(int64_t width, int64_t height, uint8_t grey = 128) {
    const std::string path =
        folder_ / (std::to_string(width) + "x" + std::to_string(height) + ".png");
    const auto samples = static_cast<size_t>(3 * width * height);
    EXPECT_TRUE(media::write_png(path, {width, height, std::vector<uint8_t>(samples, grey)}).ok());
    return path;
  }
  std::string model() const { return folder_ / "model"; }
  Outcome run(const std::vector<std::string>& options) {
    return run_program(
        std::vector<std::string>{"run", model(), "-p", "What is this?", "--temp", "0"} + options);
  }
  int64_t prompt_tokens(const std::vector<std::string>& options) {
    const Outcome outcome = run(options + std::vector<std::string>{"--json", "--max-tokens", "2"});
    EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
    return outcome.exit_code == 0 ? parse_json(outcome.out)["usage"]["prompt_tokens"].get<int64_t>()
                                  : -1;
  }

  const TemporaryFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Tiny, Pictures,
                         testing::Values("tiny-e", "tiny-12b", "tiny-31b", "tiny-26b"),
                         [](const testing::TestParamInfo<const char*>& test) {
                           return std::string(test.param).replace(4, 1, "_");
                         });

TEST_P(Pictures, CostTheirSoftTokensAndTwo) {
  const int64_t text = prompt_tokens({});
  const std::string small = picture(300, 300), large = picture(1700, 900);
  EXPECT_EQ(prompt_tokens({"--image", small}), text + 256 + 2);
  EXPECT_EQ(prompt_tokens({"--image", small, "--image-tokens", "70"}), text + 64 + 2);
  EXPECT_EQ(prompt_tokens({"--image", small, "--image", large, "--image-tokens", "70"}),
            text + 64 + 2 + 66 + 2);  // 11 x 6
  // Whole pictures of more rows than a step has by default; those that see them in both directions
  // must have all of one in a step.
  EXPECT_EQ(prompt_tokens({"--image", small, "--image-tokens", "1120"}), text + 1089 + 2);
  EXPECT_EQ(prompt_tokens(
                {"--image", large, "--image", small, "--image-tokens", "auto", "--ctx", "2048"}),
            text + 45 * 24 + 2 + 64 + 2);  // 2160 x 1152 pixels; 300 x 300 fit 70
}

TEST_P(Pictures, AReductionIsSaidWithItsRemedy) {
  const std::string large = picture(3000, 1000), small = picture(300, 300);
  EXPECT_THAT(run({"--image", large, "--image-tokens", "70", "--max-tokens", "1"}).err,
              HasSubstr("3000x1000.png: the model sees its 3000x1000 pixels reduced to 672x192; "
                        "--image-tokens up to 1120 shows more"));
  // Nothing shows more than 1120.
  EXPECT_THAT(run({"--image", large, "--image-tokens", "auto", "--max-tokens", "1"}).err,
              AllOf(HasSubstr("3000x1000 pixels reduced to"), Not(HasSubstr("shows more"))));
  EXPECT_THAT(run({"--image", small, "--image-tokens", "auto", "--max-tokens", "1"}).err,
              Not(HasSubstr("note")));
}

TEST_P(Pictures, ChatTakesThemInSeveralTurns) {
  const std::string first = picture(200, 100, 10), second = picture(100, 300, 200);
  const Outcome outcome =
      run_program({"chat", model(), "--temp", "0", "--max-tokens", "2", "--image-tokens", "70"},
                  "/image " + first + "\nWhat is this?\n/image " + second + "\n/image " + first +
                      "\nAnd these?\n/image nowhere.png\nBye.\n");
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("200x100.png: 200x100 pixels, 55 soft tokens"),
                                 HasSubstr("100x300.png: 100x300 pixels, 56 soft tokens")));
  EXPECT_THAT(outcome.err, HasSubstr("nowhere.png"));
}

TEST_P(Pictures, BoxesArePrintedAndDrawn) {
  const std::string source = picture(200, 100), drawn = folder_ / "boxes.png";
  const std::string answer = R"([{"box_2d": [100, 200, 300, 400], "label": "cat"}])";
  const Outcome outcome = run({"--image", source, "--image-tokens", "70", "--boxes",
                               "--boxes-image", drawn, "--max-tokens", "200", "--regex",
                               R"(\[\{"box_2d": \[100, 200, 300, 400\], "label": "cat"\}\])"});
  ASSERT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  EXPECT_EQ(outcome.out,
            answer + "\n[{\"label\":\"cat\",\"x0\":40,\"y0\":10,\"x1\":80,\"y1\":30}]\n");
  const media::Image image = media::read_image(drawn).value();
  const auto pixel = [&](int64_t x, int64_t y) {
    const auto at = static_cast<size_t>(3 * (y * image.width + x));
    return std::vector<int>{image.rgb[at], image.rgb[at + 1], image.rgb[at + 2]};
  };
  ASSERT_EQ(image.width, 200);
  ASSERT_EQ(image.height, 100);
  const std::vector<int> untouched = {128, 128, 128};
  EXPECT_NE(pixel(40, 10), untouched);
  EXPECT_NE(pixel(60, 10), untouched);
  EXPECT_NE(pixel(79, 29), untouched);
  EXPECT_EQ(pixel(60, 20), untouched);  // inside
  EXPECT_EQ(pixel(30, 20), untouched);
  const Outcome none = run({"--image", source, "--image-tokens", "70", "--boxes", "--regex", "no"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("the answer has no boxes"));
}

class PicturesRefused : public testing::Test {
 protected:
  const TemporaryFolder folder_;
};

TEST_F(PicturesRefused, AModelWithoutATowerSaysSo) {
  write_whole(folder_ / "any.png", "x");
  expect_failed(run_program({"run", "-p", "Hi", "--image", folder_ / "any.png"}),
                "this model does not see: it has no vision tower");
}

TEST_F(PicturesRefused, FilesAreNamedAndLimitsSaid) {
  make_seeing_model("tiny-31b", folder_);
  const auto see = [&](const std::string& file, const std::vector<std::string>& options = {}) {
    return run_program(std::vector<std::string>{"run", folder_ / "model", "-p", "Hi", "--image",
                                                file, "--max-tokens", "1"} +
                       options);
  };
  expect_failed(see(folder_ / "none.png"), "none.png");
  write_whole(folder_ / "text.png", "no picture at all");
  expect_failed(see(folder_ / "text.png"), "text.png: not a picture of a known format");
  // A PNG header that promises 60000 x 60000 pixels: refused before memory is taken for them.
  using namespace std::string_literals;
  const std::string bomb = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0"s;
  write_whole(folder_ / "bomb.png", bomb);
  if (!media::decodes_images())
    return expect_failed(see(folder_ / "bomb.png"),
                         "bomb.png: this build cannot read pictures; build it with "
                         "-DGEMMA4_IMAGES=ON");
  const Outcome refused = see(folder_ / "bomb.png");
  EXPECT_EQ(refused.exit_code, 1);
  const media::Image image{30, 20, std::vector<uint8_t>(1800, 7)};
  ASSERT_TRUE(media::write_png(folder_ / "small.png", image).ok());
  EXPECT_EQ(see(folder_ / "small.png", {"--max-image-pixels", "600"}).exit_code, 0);
  expect_failed(see(folder_ / "small.png", {"--max-image-pixels", "599"}),
                "small.png: a picture of 30x20 pixels is beyond the limit of 599 pixels");
}

}  // namespace
}  // namespace gemma4
