// Sounds and films as a user gives them, alone and mixed with text and pictures. The model is
// tiny-e, which sees and hears; its answers mean nothing, its prompts have the right lengths.

#include <algorithm>

#include "apps/conversation.h"
#include "media/log_mel.h"
#include "tests/checkpoint_testing.h"
#include "tests/film_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using ::testing::AllOf;
using testing::FilmTracks;
using ::testing::HasSubstr;
using testing::make_film;
using ::testing::Not;

// The model and the media, made once for all tests.
class Media : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    for (const char* name : {"tiny-e", "tiny-31b", "tiny-12b"}) {
      const Outcome outcome =
          run_program({"convert", kGoldens + "/" + name, *folder_ / (std::string(name) + ".gguf"),
                       "--synthetic-vocabulary"});
      ASSERT_EQ(outcome.exit_code, 0) << ::testing::PrintToString(outcome);
    }
    write("silent-film.mp4", {.format = "mp4", .pictures = {{.frames = 20}}});
    write("film.mkv", {.pictures = {{.frames = 20}}, .sounds = {{.seconds = 2}}});
    write("long-sound.mkv", {.pictures = {{.frames = 20}}, .sounds = {{.seconds = 31}}});
    write("click.mkv", {.pictures = {{.frames = 20}}, .sounds = {{.seconds = 0.005}}});
    write("minutes.mkv", {.fps = 1, .pictures = {{.frames = 70}}});
    write("sound.wav", {.format = "wav", .sounds = {{.seconds = 1}}});
    write("long.wav", {.format = "wav", .sounds = {{.seconds = 31, .rate = 8000}}});
    write("click.wav", {.format = "wav", .sounds = {{.seconds = 0.01}}});
    write("empty.wav", {.format = "wav", .sounds = {{.seconds = 0}}});
  }
  static void TearDownTestSuite() { delete std::exchange(folder_, nullptr); }
  static void write(const std::string& name, const FilmTracks& tracks) {
    write_whole(*folder_ / name, make_film(tracks));
  }
  static std::string path(const std::string& name) { return *folder_ / name; }
  static std::string picture() { return kGoldens + "/image/source1.png"; }

  static Outcome ask(const std::vector<std::string>& options, const char* model = "tiny-e") {
    return run_program(std::vector<std::string>{"run", path(std::string(model) + ".gguf"), "-p",
                                                "Hello", "--temp", "0", "--json"} +
                       (std::ranges::count(options, "--max-tokens") > 0
                            ? std::vector<std::string>()
                            : std::vector<std::string>{"--max-tokens", "3"}) +
                       options);
  }
  // What media add to the prompt
  static int64_t added_tokens(const std::vector<std::string>& options,
                              const char* model = "tiny-e") {
    const auto count = [&](const std::vector<std::string>& all) -> int64_t {
      const Outcome outcome = ask(all, model);
      EXPECT_EQ(outcome.exit_code, 0) << ::testing::PrintToString(outcome);
      if (outcome.exit_code != 0) return -1;
      return parse_json(outcome.out)["usage"]["prompt_tokens"].get<int64_t>();
    };
    return count(options) - count({});
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* Media::folder_ = nullptr;

// Frames of 64x48 pixels at 70 soft tokens have 9 x 7 of them.
constexpr int64_t kFrame = 2 + 63;                         // with its markers
constexpr int64_t kFirstTime = 6, kTime = 7;               // "00:00 ", " 00:01 "
constexpr int64_t kSecond = 25 + 2, kTwoSeconds = 50 + 2;  // of sound

TEST_F(Media, SoundsBecomeSoManyTokens) {
  EXPECT_EQ(added_tokens({"--audio", path("sound.wav")}), kSecond);
  EXPECT_EQ(added_tokens({"--audio", path("sound.wav"), "--audio", path("sound.wav")}),
            2 * kSecond);
  EXPECT_EQ(ask({"--audio", path("sound.wav")}).err, "");
  // The sound of a film, without its pictures
  EXPECT_EQ(added_tokens({"--audio", path("film.mkv")}), kTwoSeconds);
}

TEST_F(Media, ASoundThatIsCutOrNoneIsSaid) {
  const Outcome cut = ask({"--audio", path("long.wav")});
  EXPECT_EQ(cut.exit_code, 0) << ::testing::PrintToString(cut);
  EXPECT_EQ(cut.err, "gemma4: note: " + path("long.wav") + ": the model hears its first 30.0 s\n");
  const Outcome half = ask({"--audio", path("sound.wav"), "--audio-seconds", "0.5"});
  EXPECT_EQ(half.err, "gemma4: note: " + path("sound.wav") +
                          ": the model hears its first 0.5 s; --audio-seconds takes more\n");
  EXPECT_EQ(added_tokens({"--audio", path("sound.wav"), "--audio-seconds", "0.5"}), 13 + 2);
  // The encoder is never given more than 30 s; without one there is more to be heard.
  const std::vector<std::string> all = {"--audio", path("long.wav"), "--audio-seconds", "40"};
  EXPECT_EQ(added_tokens(all), 750 + 2);
  EXPECT_EQ(added_tokens({"--audio", path("long.wav")}, "tiny-12b"), 750 + 2);
  EXPECT_EQ(added_tokens(all, "tiny-12b"), 775 + 2);
  expect_failed(ask({"--audio", path("click.wav")}),
                path("click.wav") + ": a sound of 160 samples at 16 kHz is too short");
  expect_failed(ask({"--audio", path("empty.wav")}), path("empty.wav"));
  expect_failed(ask({"--audio", path("silent-film.mp4")}), "holds no sound");
  expect_failed(ask({"--audio", picture()}), picture());
  expect_failed(ask({"--audio", path("nothing.wav")}), path("nothing.wav"));
}

TEST_F(Media, FilmsBecomeFramesWithTimesAndSound) {
  const auto frames = [](int64_t n) { return kFirstTime + (n - 1) * kTime + n * kFrame; };
  const std::string film = path("silent-film.mp4");
  EXPECT_EQ(added_tokens({"--video", film}), frames(20));  // all there are
  EXPECT_EQ(added_tokens({"--video", film, "--video-frames", "3"}), frames(3));
  EXPECT_EQ(added_tokens({"--video", film, "--video-fps", "2"}), frames(4));
  EXPECT_EQ(ask({"--video", film}).err, "");
  // 64x48 at 140 soft tokens: 13 x 10
  EXPECT_EQ(added_tokens({"--video", film, "--video-frames", "1", "--video-tokens", "140"}),
            kFirstTime + 2 + 130);
  EXPECT_EQ(added_tokens({"--video", path("film.mkv"), "--video-frames", "2"}),
            frames(2) + kTwoSeconds);
}

TEST_F(Media, WhatIsLeftOutOfAFilmIsSaid) {
  const std::vector<std::string> two = {"--video-frames", "2"};
  const auto note = [&](const std::string& name, const char* model = "tiny-e") {
    const Outcome outcome = ask(std::vector<std::string>{"--video", path(name)} + two, model);
    EXPECT_EQ(outcome.exit_code, 0) << ::testing::PrintToString(outcome);
    return outcome.err;
  };
  EXPECT_THAT(note("long-sound.mkv"),
              HasSubstr(path("long-sound.mkv") + ": the model hears its first 30.0 s"));
  EXPECT_THAT(note("click.mkv"), HasSubstr("its sound is left out: a sound of 80 samples"));
  EXPECT_THAT(note("minutes.mkv"), HasSubstr("it is longer than the 60 s that models know"));
  EXPECT_THAT(note("film.mkv", "tiny-31b"),
              HasSubstr("its sound is left out, this model does not hear"));
  EXPECT_EQ(note("silent-film.mp4", "tiny-31b"), "");
  const Outcome many =
      ask({"--video", path("minutes.mkv"), "--video-fps", "1", "--ctx", "4096"}, "tiny-31b");
  EXPECT_THAT(many.err,
              HasSubstr("of the 70 frames that were asked for the model sees 60, spread over the "
                        "whole; --video-max-frames takes more"))
      << ::testing::PrintToString(many);
}

TEST_F(Media, AModelThatDoesNotHearSaysSo) {
  expect_failed(ask({"--audio", path("sound.wav")}, "tiny-31b"), "this model does not hear");
}

TEST_F(Media, ImpossibleOptionsAreBadUsage) {
  const std::string film = path("film.mkv");
  expect_bad_usage(ask({"--video", film, "--video-frames", "0"}), "--video-frames");
  expect_bad_usage(ask({"--video", film, "--video-max-frames", "0"}), "--video-max-frames");
  expect_bad_usage(ask({"--audio", film, "--audio-seconds", "0"}), "--audio-seconds");
  expect_bad_usage(ask({"--audio", film, "--max-media-mb", "0"}), "--max-media-mb");
  expect_bad_usage(ask({"--audio", film, "--max-decode-seconds", "0"}), "--max-decode-seconds");
  expect_bad_usage(ask({"--video", film, "--video-fps", "0"}), "--video-fps");
  expect_bad_usage(ask({"--video", film, "--video-tokens", "71"}), "--video-tokens");
  expect_bad_usage(ask({"--video", film, "--video-fps", "1", "--video-frames", "2"}), "--video");
}

TEST_F(Media, LimitsOfFilesAreSaid) {
  write_whole(path("large.wav"), std::string(1'100'000, 'x'));
  for (const char* option : {"--image", "--audio", "--video"})
    EXPECT_THAT(ask({option, path("large.wav"), "--max-media-mb", "1"}).err,
                AllOf(HasSubstr("large.wav: "), HasSubstr("1.05 MB")));
  expect_failed(ask({"--video", path("film.mkv"), "--max-decode-seconds", "1e-9"}),
                "film.mkv: decoding it takes longer than 1e-09 seconds");
  const Outcome few = ask({"--video", path("silent-film.mp4"), "--video-max-frames", "2"});
  EXPECT_THAT(few.err, HasSubstr("of the 20 frames that were asked for the model sees 2, spread"));
}

// What the library makes of media that are attached in this order
std::string answer_to(const std::string& model, const std::vector<apps::GivenMedium>& media) {
  using Kind = apps::GivenMedium::Kind;
  apps::ConversationArguments arguments;
  arguments.model = model;
  arguments.engine.context = 2048;
  arguments.sampling.max_tokens = 12;
  arguments.sampling.temperature = 0.0f;
  const auto conversation = apps::Conversation::create(arguments).value();
  for (const auto& [kind, source] : media)
    EXPECT_TRUE(kind == Kind::kImage ? conversation->attach_image(source, 70).ok()
                                     : conversation->attach_audio(source).ok());
  return std::get<std::string>(
      conversation->ask("Hello", nullptr, nullptr).value().message.content);
}

TEST_F(Media, TheOrderOfTheCommandLineIsThePrompts) {
  using Kind = apps::GivenMedium::Kind;
  const auto run = [&](const std::vector<std::string>& options) {
    const Outcome outcome =
        ask(std::vector<std::string>{"--max-tokens", "12", "--image-tokens", "70"} + options);
    EXPECT_EQ(outcome.exit_code, 0) << ::testing::PrintToString(outcome);
    return parse_json(outcome.out)["content"].get<std::string>();
  };
  const std::string other = kGoldens + "/image/source0.png", sound = path("sound.wav");
  const std::string first = run({"--image", picture(), "--audio", sound, "--image", other});
  const std::string second = run({"--audio", sound, "--image", other, "--image", picture()});
  EXPECT_NE(first, second);
  const std::string model = path("tiny-e.gguf");
  EXPECT_EQ(
      first,
      answer_to(model, {{Kind::kImage, picture()}, {Kind::kAudio, sound}, {Kind::kImage, other}}));
  EXPECT_EQ(
      second,
      answer_to(model, {{Kind::kAudio, sound}, {Kind::kImage, other}, {Kind::kImage, picture()}}));
}

TEST_F(Media, AllKindsGoTogether) {
  const std::vector<std::string> all = {
      "--image",        picture(), "--audio", path("sound.wav"), "--video",        path("film.mkv"),
      "--image",        picture(), "--audio", path("sound.wav"), "--video-frames", "2",
      "--image-tokens", "70"};
  const Outcome first = ask(all), second = ask(all);
  EXPECT_EQ(first.exit_code, 0) << ::testing::PrintToString(first);
  const auto message = [](const Outcome& o) { return parse_json(o.out)["content"]; };
  EXPECT_EQ(message(first), message(second));
  const int64_t picture_tokens = added_tokens({"--image", picture(), "--image-tokens", "70"});
  EXPECT_EQ(added_tokens(all),
            2 * picture_tokens + 2 * kSecond + kFirstTime + kTime + 2 * kFrame + kTwoSeconds);
}

TEST_F(Media, ChatListsThemAndKeepsThem) {
  const Outcome outcome = run_program(
      {"chat", path("tiny-e.gguf"), "--max-tokens", "3", "--temp", "0", "--video-frames", "2",
       "--ctx", "2048"},
      "/audio " + path("sound.wav") + "\n/video " + path("film.mkv") + "\n/image " + picture() +
          "\n/audio " + path("long.wav") + "\nHello\nAgain\n/stats\n/audio\n/video\n/audio " +
          path("click.wav") + "\nAnd again\n");
  EXPECT_EQ(outcome.exit_code, 0) << ::testing::PrintToString(outcome);
  EXPECT_THAT(
      outcome.out,
      AllOf(HasSubstr(path("sound.wav") + ": 1.0 s, 25 soft tokens; it goes with your next"),
            HasSubstr(path("film.mkv") + ": 2 of 20 frames of 2.0 s, 64x48 pixels seen at 432x336, "
                                         "126 soft tokens; it goes"),
            HasSubstr(path("film.mkv") + ": 2.0 s, 50 soft tokens; it goes"),
            HasSubstr("the model hears its first 30.0 s"), HasSubstr("from the cache"),
            Not(HasSubstr("(0 from the cache)")), HasSubstr("/audio needs a file"),
            HasSubstr("/video needs a file")));
  EXPECT_THAT(outcome.err, HasSubstr("too short"));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << outcome.err;
}

// Frames come before the text, the sound of a film after all text (video.md, section 5).
TEST_F(Media, TheSoundOfAFilmComesAfterTheText) {
  apps::ConversationArguments arguments;
  arguments.model = path("tiny-e.gguf");
  arguments.sampling.max_tokens = 2;
  const auto conversation = apps::Conversation::create(arguments);
  ASSERT_TRUE(conversation.ok()) << conversation.error().message;
  apps::Conversation& film = *conversation.value();
  ASSERT_TRUE(film.attach_video(path("film.mkv"), {.sampling = {.num_frames = 2}}).ok());
  ASSERT_TRUE(film.attach_audio(path("sound.wav")).ok());
  ASSERT_TRUE(film.ask("Hello", nullptr, nullptr).ok());
  using chat::ContentPart;
  const auto& parts = std::get<std::vector<ContentPart>>(film.messages().front().content);
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].type, ContentPart::Type::kVideo);
  EXPECT_EQ(parts[1].type, ContentPart::Type::kAudio);
  EXPECT_EQ(parts[1].source, path("sound.wav"));
  EXPECT_EQ(parts[2].text, "Hello");
  EXPECT_EQ(parts[3].type, ContentPart::Type::kAudio);
  EXPECT_EQ(parts[3].source, path("film.mkv"));
}

// Turns of a conversation, and the same media once more, use what the towers made the first time.
TEST_F(Media, NothingIsEncodedTwice) {
  apps::ConversationArguments arguments;
  arguments.model = path("tiny-e.gguf");
  arguments.engine.context = 4000;
  arguments.sampling.max_tokens = 3;
  arguments.sampling.temperature = 0.0f;
  const auto conversation = apps::Conversation::create(arguments);
  ASSERT_TRUE(conversation.ok()) << conversation.error().message;
  apps::Conversation& chat = *conversation.value();
  const auto ask_once = [&] {
    const auto answer = chat.ask("Hello", nullptr, nullptr);
    ASSERT_TRUE(answer.ok()) << answer.error().message;
  };
  const apps::FilmOptions two{.sampling = {.num_frames = 2}};
  ASSERT_TRUE(chat.attach_audio(path("sound.wav")).ok());
  ASSERT_TRUE(chat.attach_video(path("film.mkv"), two).ok());
  EXPECT_EQ(chat.media_reader().num_encoded(), 0);  // not before they are asked about
  ask_once();
  EXPECT_EQ(chat.media_reader().num_encoded(), 4);  // two sounds, two frames
  ask_once();
  ask_once();
  EXPECT_EQ(chat.media_reader().num_encoded(), 4);
  chat.clear();
  ASSERT_TRUE(chat.attach_audio(path("sound.wav")).ok());
  ASSERT_TRUE(chat.attach_video(path("film.mkv"), two).ok());
  ask_once();
  EXPECT_EQ(chat.media_reader().num_encoded(), 4);
  ASSERT_TRUE(chat.attach_video(path("film.mkv"), {.sampling = {.num_frames = 4}}).ok());
  ask_once();  // of the frames 0, 5, 10 and 15 the first and the third are known
  EXPECT_EQ(chat.media_reader().num_encoded(), 6);
  ASSERT_TRUE(
      chat.attach_video(path("film.mkv"), {.sampling = {.num_frames = 1}, .frame_budget = 140})
          .ok());
  ask_once();
  EXPECT_EQ(chat.media_reader().num_encoded(), 7);
}

}  // namespace
}  // namespace gemma4
