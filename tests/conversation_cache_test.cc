// A conversation of 20 turns over a protocol computes its new tokens only, by the server's own
// metrics: with thinking off and on, and with pictures. (metamorphic_cache_test says that of ids,
// restart.test.mjs of a whole server.)

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "apps/model_source.h"
#include "base/strings.h"
#include "engine/engine.h"
#include "json/json.h"
#include "media/image.h"
#include "serve/engine_source.h"
#include "serve/service_testing.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using json::Value;
using Ids = std::vector<int32_t>;

// An engine that runs each request to its end at once, and remembers what was fed to it.
class SteppedSource final : public serve::TokenSource {
 public:
  explicit SteppedSource(std::unique_ptr<engine::Engine> engine) : engine_(std::move(engine)) {}

  Result<engine::SequenceId> submit(engine::Request request, Sink sink) override {
    prompt = request.prompt;
    media = request.media;
    generated.clear();
    G4_ASSIGN_OR_RETURN(const engine::SequenceId id, engine_->submit(std::move(request)));
    while (engine_->has_work()) {
      const auto events = engine_->step();
      if (!events.ok()) return events.error();
      for (const engine::Event& event : events.value()) {
        if (event.token) generated.push_back(event.token->id);
        sink(event);
      }
    }
    return id;
  }
  void cancel(engine::SequenceId id) override { engine_->cancel(id); }
  void cancel_all() override {}  // none is under way
  Stats stats() const override { return serve::EngineSource::stats_of(engine_->stats()); }

  // Of the last request
  Ids prompt, generated;
  std::vector<model::SoftSpan> media;

 private:
  std::unique_ptr<engine::Engine> engine_;
};

class Conversation {
 public:
  explicit Conversation(const answer::LoadedModel& loaded)
      : window_(loaded.model->config().text.sliding_window) {
    serve::silence_log();
    auto source = std::make_unique<SteppedSource>(
        engine::Engine::create(
            loaded.model, {.context_tokens = 2048, .prefix_windows = 2, .cpu = {.num_threads = 2}})
            .value());
    source_ = source.get();
    std::vector<std::unique_ptr<serve::ModelSlot>> models;
    models.push_back(std::make_unique<serve::ModelSlot>(
        serve::ServedModel::create(
            {.name = "m", .loaded = loaded, .source = std::move(source), .context_tokens = 2048})
            .value()));
    service_ = std::make_unique<serve::Service>(serve::ServiceOptions(), std::move(models));
    handlers_ = service_->handlers();
  }

  // One more turn: `content` is what the user says, `fields` what the request says besides. The
  // assistant's message joins the conversation as clients keep it, without its thought.
  void say(Value content, const Value::Object& fields) {
    messages_.push_back(Value::Object{{"role", "user"}, {"content", std::move(content)}});
    Value::Object body{{"messages", messages_}, {"temperature", 0}};
    body.insert(body.end(), fields.begin(), fields.end());
    const std::map<std::string, int64_t> before = metrics();
    known_ = fed_;
    const auto reply = post("/v1/chat/completions", json::dump(body));
    ASSERT_EQ(reply->response.status, 200) << reply->response.body;
    const Value answer = json::parse(reply->response.body).value();
    const std::string text = serve::text_at(answer, "choices.0.message.content");
    messages_.push_back(Value::Object{{"role", "assistant"}, {"content", text}});

    fed_ = source_->prompt;  // the last token of the answer never is
    fed_.insert(fed_.end(), source_->generated.begin(), source_->generated.end() - 1);
    const std::map<std::string, int64_t> after = metrics();
    const auto grown = [&](const char* name) { return after.at(name) - before.at(name); };
    prompt = static_cast<int64_t>(source_->prompt.size());
    cached = grown("prefix_cache_hit_tokens");
    EXPECT_EQ(grown("prefix_cache_queried_tokens"), prompt);
    // What was not cached was computed, and nothing twice.
    EXPECT_EQ(grown("engine_computed_tokens"), static_cast<int64_t>(fed_.size()) - cached);
    EXPECT_EQ(serve::text_at(answer, "usage.prompt_tokens_details.cached_tokens"),
              std::to_string(cached));
  }

  // How many of the tokens fed before this turn begin its prompt; one of a prompt is always run.
  int64_t shared() const {
    const auto [end, unused] = std::ranges::mismatch(known_, source_->prompt);
    return std::min<int64_t>(end - known_.begin(), prompt - 1);
  }
  // Where the answer before has moved the sliding window by a block since, the cache may know less
  // than is shared: what was left at the last boundary of a prompt.
  void expect_shared_is_cached() const {
    const auto first_block = [&](int64_t length) {
      return std::max<int64_t>(0, length - window_ + 1) / model::kBlockTokens;
    };
    if (first_block(known()) == first_block(shared()))
      EXPECT_EQ(cached, shared());
    else
      EXPECT_LT(shared() - cached, model::kBlockTokens);
    EXPECT_LE(cached, shared());
  }
  int64_t known() const { return static_cast<int64_t>(known_.size()); }
  const SteppedSource& source() const { return *source_; }

  int64_t prompt = 0, cached = 0;  // tokens of the last turn

 private:
  std::shared_ptr<serve::FakeExchange> post(const std::string& path, const std::string& body) {
    return handle({.method = body.empty() ? "GET" : "POST", .path = path, .body = body});
  }
  std::shared_ptr<serve::FakeExchange> handle(http::Request request) {
    const auto exchange = std::make_shared<serve::FakeExchange>(std::move(request));
    handlers_.handle(exchange);
    exchange->run();
    return exchange;
  }
  // By name, without the prefix and the labels.
  std::map<std::string, int64_t> metrics() {
    std::istringstream lines(post("/metrics", "")->response.body);
    std::map<std::string, int64_t> found;
    const std::string prefix = "gemma4_";
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(prefix) && line.find('{') != line.npos)
        found[line.substr(prefix.size(), line.find('{') - prefix.size())] =
            static_cast<int64_t>(std::stod(line.substr(line.rfind(' '))));
    return found;
  }

  int64_t window_;
  SteppedSource* source_;
  std::unique_ptr<serve::Service> service_;
  http::Handlers handlers_;
  Value::Array messages_;
  Ids fed_, known_;
};

TEST(ConversationCache, WithoutThoughtsEachTurnComputesItsNewTokensOnly) {
  Conversation conversation(apps::load_model(kDemo, nullptr, {}).value());
  for (int turn = 0; turn < 20; ++turn) {
    conversation.say(str_cat("What is ", 10 + turn, " plus ", 3 * turn, "?"),
                     {{"max_tokens", 10 + turn % 3}});
    // All that was ever fed begins this prompt, and all of it is found.
    EXPECT_EQ(conversation.shared(), conversation.known()) << turn;
    EXPECT_EQ(conversation.cached, conversation.known()) << turn;
  }
  EXPECT_GT(conversation.prompt, 400);
}

// The chat format leaves thoughts of earlier turns out, so that an answer after a thought is
// computed once more, without it.
TEST(ConversationCache, WithThoughtsTheAnswerAfterThemIsComputedOnceMore) {
  Conversation conversation(apps::load_model(kDemo, nullptr, {}).value());
  int64_t before = 0;  // tokens of the last prompt
  int thoughts = 0;
  for (int turn = 0; turn < 20; ++turn) {
    conversation.say(str_cat("What is ", 10 + turn, " plus ", 3 * turn, "?"),
                     {{"reasoning_effort", "low"}, {"max_tokens", 40}});
    const int64_t shared = conversation.shared();
    conversation.expect_shared_is_cached();
    // The answer's beginning may be shared, too, where there was no thought.
    EXPECT_GE(shared, before) << turn;
    if (turn > 0 && shared == before) ++thoughts;
    before = conversation.prompt;
  }
  EXPECT_GT(thoughts, 10);
}

std::string picture_url(const TemporaryFolder& folder) {
  const std::string path = folder / "picture.png";
  std::vector<uint8_t> samples(3 * 96 * 64);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<uint8_t>(i * 7);
  EXPECT_TRUE(media::write_png(path, {96, 64, samples}).ok());
  std::string url = "data:image/png,";
  for (const char byte : read_whole(path)) {
    constexpr char kDigits[] = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    url += {'%', kDigits[value / 16], kDigits[value % 16]};
  }
  return url;
}

Value with_picture(const std::string& url, const std::string& text) {
  return Value::Array{
      Value::Object{{"type", "image_url"}, {"image_url", Value::Object{{"url", url}}}},
      Value::Object{{"type", "text"}, {"text", text}}};
}

// Prompts of the larger models end with an empty thought, `thought` tokens that the next prompt
// does not have: the answer after them is computed once more.
struct SeeingModel {
  const char* name;
  int64_t thought;
};
class ConversationWithPictures : public ::testing::TestWithParam<SeeingModel> {};
INSTANTIATE_TEST_SUITE_P(Tiny, ConversationWithPictures,
                         ::testing::Values(SeeingModel{"tiny-e", 0}, SeeingModel{"tiny-31b", 5}),
                         [](const auto& test) {
                           return std::string(test.param.name).replace(4, 1, "_");
                         });

// Weights by the formula say nothing; a bias makes it a word, whose tokens are those of its text.
TEST_P(ConversationWithPictures, EachTurnComputesItsNewTokensOnly) {
  if (!media::decodes_images()) GTEST_SKIP() << "this build has no decoders (GEMMA4_IMAGES=OFF)";
  const TemporaryFolder folder;
  make_seeing_model(GetParam().name, folder);
  const answer::LoadedModel loaded = apps::load_model(folder / "model", nullptr, {}).value();
  const Ids word = loaded.tokenizer->encode("Yes");
  ASSERT_EQ(word.size(), 1);
  Conversation conversation(loaded);
  const std::string url = picture_url(folder);
  for (int turn = 0; turn < 20; ++turn) {
    const std::string text = str_cat("And now, ", turn, "?");
    // A second picture, the same, half way.
    conversation.say(turn % 10 == 0 ? with_picture(url, text) : Value(text),
                     {{"max_tokens", 1 + turn % 3},
                      {"logit_bias", Value::Object{{std::to_string(word.front()), 100}}}});
    ASSERT_EQ(conversation.source().media.size(), turn < 10 ? 1 : 2);
    const int64_t thought = turn > 0 ? GetParam().thought : 0;
    const int64_t answer = thought > 0 ? (turn - 1) % 3 : 0;  // fed tokens of it
    EXPECT_EQ(conversation.known() - conversation.shared(), thought + answer) << turn;
    conversation.expect_shared_is_cached();
    for (const int32_t id : conversation.source().generated) EXPECT_EQ(id, word.front());
  }
}

}  // namespace
}  // namespace gemma4
