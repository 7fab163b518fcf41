// A build without FFmpeg (-DGEMMA4_AV=OFF) says what is missing.

#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using testing::HasSubstr;

const std::string kMissing = "this build decodes no sound and video; build it with -DGEMMA4_AV=ON";

TEST(NoAv, SoundsAndFilmsAreRefused) {
  const TemporaryFolder folder;
  const std::string model = folder / "tiny.gguf";
  ASSERT_EQ(
      run_program({"convert", kGoldens + "/tiny-e", model, "--synthetic-vocabulary"}).exit_code, 0);
  const std::string sound = kGoldens + "/audio/sound1.wav";
  for (const char* option : {"--audio", "--video"})
    expect_failed(run_program({"run", model, "-p", "Hi", option, sound}), sound + ": " + kMissing);
  const Outcome chat = run_program({"chat", model, "--max-tokens", "2"},
                                   "/audio " + sound + "\n/video " + sound + "\n");
  EXPECT_EQ(chat.exit_code, 0);
  EXPECT_THAT(chat.err, HasSubstr(sound + ": " + kMissing));
}

}  // namespace
}  // namespace gemma4
