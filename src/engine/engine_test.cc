// The engine's promises to its caller: limits are answered, every request ends exactly once, and
// memory comes back. What the tokens are is tests/metamorphic_engine_test.cc's business.

#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <new>
#include <random>

namespace gemma4::engine {
namespace {

using model::Model;
using ::testing::HasSubstr;

std::shared_ptr<const Model> tiny() {
  static const auto model = std::make_shared<const Model>(
      Model::load(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/tiny-e").value());
  return model;
}

std::unique_ptr<Engine> make(EngineOptions options) {
  if (options.cpu.num_threads == 0) options.cpu.num_threads = 2;
  auto engine = Engine::create(tiny(), options);
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  return std::move(engine).value();
}  // namespace

std::vector<int32_t> prompt(int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(2 + i * 37 % 400));
  return ids;
}

struct Outcome {
  int64_t tokens = 0;
  int endings = 0;
  FinishReason reason = FinishReason::kStop;
  int32_t last = -1;
};

void note(const std::vector<Event>& events, std::map<SequenceId, Outcome>& outcomes) {
  for (const Event& event : events) {
    Outcome& outcome = outcomes[event.sequence];
    EXPECT_EQ(outcome.endings, 0) << "an event after the last one";
    if (event.token) {
      ++outcome.tokens;
      outcome.last = event.token->id;
    }
    if (event.finish) {
      ++outcome.endings;
      outcome.reason = *event.finish;
    }
    EXPECT_TRUE(event.token || event.finish);
  }
}

std::map<SequenceId, Outcome> drain(Engine& engine) {
  std::map<SequenceId, Outcome> outcomes;
  while (engine.has_work()) note(engine.step().value(), outcomes);
  return outcomes;
}

std::string create_error(const EngineOptions& options) {
  const auto engine = Engine::create(tiny(), options);
  return engine.ok() ? "no error" : engine.error().message;
}

TEST(Engine, ImpossibleOptionsAreRefused) {
  EXPECT_THAT(create_error({.context_tokens = 1}), HasSubstr("context of 1 tokens"));
  EXPECT_THAT(create_error({.context_tokens = 4097}), HasSubstr("this model takes 2 to 4096"));
  EXPECT_THAT(create_error({.context_tokens = -5}), HasSubstr("context of -5"));
  EXPECT_THAT(create_error({.context_tokens = 64, .max_sequences = 0}), HasSubstr("is 0"));
  EXPECT_THAT(create_error({.context_tokens = 64, .max_sequences = 5000}), HasSubstr("5000"));
  EXPECT_THAT(create_error({.context_tokens = 64, .max_sequences = 8, .chunk_tokens = 7}),
              HasSubstr("a step of 7 tokens cannot hold 8 sequences"));
  EXPECT_THAT(create_error({.context_tokens = 64, .chunk_tokens = 0}), HasSubstr("step of 0"));
  EXPECT_THAT(create_error({.context_tokens = 64, .cache_tokens = 63}),
              HasSubstr("a cache of 63 tokens cannot hold a context of 64"));
  EXPECT_THAT(create_error({.context_tokens = 64, .prefix_windows = -1}),
              HasSubstr("windows is -1"));
  EXPECT_THAT(create_error({.context_tokens = 64, .step_target_seconds = -1}),
              HasSubstr("time of a step is -1"));
  EXPECT_THAT(create_error({.context_tokens = 64, .cpu = {.num_threads = -1}}),
              HasSubstr("threads is -1"));
}

TEST(Engine, ImpossibleRequestsAreRefusedAndLeaveNothingBehind) {
  const auto engine = make({.context_tokens = 64});
  const auto error_of = [&](Request request) {
    const auto id = engine->submit(std::move(request));
    EXPECT_FALSE(id.ok());
    EXPECT_EQ(id.error().code, ErrorCode::kInvalidArgument);
    return id.error().message;
  };
  EXPECT_THAT(error_of({.prompt = {}}), HasSubstr("the prompt is empty"));
  EXPECT_THAT(error_of({.prompt = {1, 512}}), HasSubstr("token id 512 is outside"));
  EXPECT_THAT(error_of({.prompt = {-1}}), HasSubstr("token id -1"));
  EXPECT_THAT(error_of({.prompt = {1}, .max_tokens = 0}), HasSubstr("max_tokens"));
  EXPECT_THAT(error_of({.prompt = {1}, .stop_token_ids = {600}}), HasSubstr("token id 600"));
  const std::string too_long = error_of({.prompt = prompt(64)});
  EXPECT_THAT(too_long, HasSubstr("the prompt has 64 tokens"));
  EXPECT_THAT(too_long, HasSubstr("the context holds 64"));
  Request bad{.prompt = {1}};
  bad.sampling.top_p = 0;
  EXPECT_THAT(error_of(bad), HasSubstr("top_p"));
  EXPECT_FALSE(engine->has_work());
  EXPECT_TRUE(engine->step().value().empty());
}

TEST(Engine, TheLongestPromptThatFitsGetsOneToken) {
  const auto engine = make({.context_tokens = 64, .chunk_tokens = 16});
  const SequenceId id = engine->submit({.prompt = prompt(63), .max_tokens = 1000}).value();
  const Outcome outcome = drain(*engine)[id];
  EXPECT_EQ(outcome.tokens, 1);
  EXPECT_EQ(outcome.reason, FinishReason::kLength);
}

TEST(Engine, GenerationStopsAtTheFirstStopToken) {
  const auto engine = make({.context_tokens = 200});
  Request request{.prompt = prompt(5), .max_tokens = 50};
  request.sampling.temperature = 0;
  std::vector<int32_t> ids;
  engine->submit(request).value();
  while (engine->has_work())
    for (const Event& event : engine->step().value()) ids.push_back(event.token->id);
  const size_t first =
      static_cast<size_t>(std::find(ids.begin(), ids.end(), ids[20]) - ids.begin());
  request.stop_token_ids = {ids[20]};
  const SequenceId id = engine->submit(request).value();
  const Outcome outcome = drain(*engine)[id];
  EXPECT_EQ(outcome.reason, FinishReason::kStop);
  EXPECT_EQ(outcome.last, ids[20]);
  EXPECT_EQ(outcome.tokens, static_cast<int64_t>(first) + 1);
  EXPECT_EQ(name_of(outcome.reason), "stop");
}

// A card as the engine sees it, made of ordinary memory: everything has to be copied there and
// back, and it finds the best logits of each row itself.
class Card : public kernels::Device {
 public:
  Card() : table_(kernels::all_cpu_tables().front()) {
    table_.best_logits = kernels::reference_table().best_logits;
  }
  std::string name() const override { return "a card for tests"; }
  int num_threads() const override { return 0; }
  const kernels::Table& table() const override { return table_; }
  kernels::Queue queue() override { return {.pool = &pool_}; }
  bool is_host() const override { return false; }
  uint64_t available_bytes() const override { return available; }
  void upload(void* target, const void* source, size_t bytes) override {
    if (bytes > 0) std::memcpy(target, source, bytes);
  }
  void copy(void* target, const void* source, size_t bytes) override {
    upload(target, source, bytes);
  }
  void download(void* target, const void* source, size_t bytes) override {
    upload(target, source, bytes);
    downloaded += bytes;
  }
  Status finish() override {
    if (failed) return Error{ErrorCode::kUnavailable, "the card failed"};
    return {};
  }

  size_t downloaded = 0;
  uint64_t available = 0;
  bool failed = false;

 private:
  static constexpr std::align_val_t kAlignment{64};
  std::byte* allocate_bytes(size_t bytes) override { return new (kAlignment) std::byte[bytes]; }
  void free(std::byte* memory) override { ::operator delete[](memory, kAlignment); }

  kernels::Table table_;
  ThreadPool pool_{2};
};

std::vector<int32_t> generated(const std::shared_ptr<kernels::Device>& device,
                               const SamplingParams& sampling) {
  const auto model = std::make_shared<const Model>(
      Model::load(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/tiny-e", device).value());
  const auto engine =
      Engine::create(model, {.context_tokens = 200, .max_sequences = 2, .cpu = {.num_threads = 2}})
          .value();
  const SequenceId first =
      engine->submit({.prompt = prompt(20), .max_tokens = 40, .sampling = sampling}).value();
  engine->submit({.prompt = prompt(7), .max_tokens = 40, .sampling = sampling}).value();
  std::vector<int32_t> ids;
  while (engine->has_work())
    for (const Event& event : engine->step().value())
      if (event.sequence == first) ids.push_back(event.token->id);
  return ids;
}

TEST(Engine, ACardGivesTheTokensOfTheCpu) {
  constexpr size_t kRowBytes = 512 * sizeof(float);  // of logits of this model
  for (const SamplingParams& sampling :
       {SamplingParams{.temperature = 0}, SamplingParams{.top_k = 64, .seed = 5},
        SamplingParams{.temperature = 0, .suppress_tokens = {5, 6, 7}}}) {
    const auto card = std::make_shared<Card>();
    EXPECT_EQ(generated(card, sampling), generated(nullptr, sampling));
    EXPECT_LT(card->downloaded, 2 * 40 * kRowBytes) << "the best logits decided";
  }
  for (const SamplingParams& sampling :
       {SamplingParams{.top_k = 0, .seed = 6}, SamplingParams{.repetition_penalty = 1.5f}}) {
    const auto card = std::make_shared<Card>();
    EXPECT_EQ(generated(card, sampling), generated(nullptr, sampling));
    EXPECT_GE(card->downloaded, 2 * 40 * kRowBytes) << "whole rows were needed";
  }
}

Result<std::shared_ptr<const Model>> tiny_on(const std::shared_ptr<Card>& card) {
  G4_ASSIGN_OR_RETURN(Model model,
                      Model::load(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/tiny-e", card));
  return std::make_shared<const Model>(std::move(model));
}

TEST(Engine, WeightsThatDoNotFitACardAreRefusedBeforeAnyIsThere) {
  const auto card = std::make_shared<Card>();
  card->available = 1'000'000;
  const auto model = tiny_on(card);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(model.error().message,
              ::testing::AllOf(HasSubstr("the weights need"), HasSubstr("1.00 MB free"),
                               HasSubstr("--quantize")));
}

TEST(Engine, APlanThatDoesNotFitIsPrintedWithWhatToChange) {
  const auto card = std::make_shared<Card>();
  const auto model = tiny_on(card).value();
  card->available = 64 << 20;
  EngineOptions options{.context_tokens = 4096, .max_sequences = 64, .chunk_tokens = 64};
  const auto refused = Engine::create(model, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  const std::string& message = refused.error().message;
  EXPECT_THAT(message, ::testing::AllOf(HasSubstr("weights"), HasSubstr("64 x 4096 tokens in F32"),
                                        HasSubstr("working memory"), HasSubstr("67.1 MB are free"),
                                        HasSubstr("fewer sequences"), HasSubstr("--kv-type")));
  const std::string hint = "a context of at most ";
  const size_t at = message.find(hint);
  ASSERT_NE(at, message.npos) << message;
  // What it says fits, and nothing longer does.
  options.context_tokens = std::stoi(message.substr(at + hint.size()));
  EXPECT_TRUE(Engine::create(model, options).ok());
  options.context_tokens += 64;
  EXPECT_FALSE(Engine::create(model, options).ok());
}

TEST(Engine, ACardThatFailsEndsTheStepWithItsError) {
  const auto card = std::make_shared<Card>();
  const auto model = tiny_on(card).value();
  const auto engine = Engine::create(model, {.context_tokens = 64}).value();
  engine->submit({.prompt = prompt(5), .max_tokens = 9}).value();
  ASSERT_TRUE(engine->step().ok());
  card->failed = true;
  const auto events = engine->step();
  ASSERT_FALSE(events.ok());
  EXPECT_EQ(events.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(events.error().message, "the card failed");
}

TEST(Engine, CancelledRequestsEndOnceWithoutAToken) {
  const auto engine = make({.context_tokens = 200, .max_sequences = 1, .chunk_tokens = 8});
  const SequenceId running = engine->submit({.prompt = prompt(30), .max_tokens = 50}).value();
  const SequenceId waiting = engine->submit({.prompt = prompt(30), .max_tokens = 5}).value();
  const SequenceId survivor = engine->submit({.prompt = prompt(3), .max_tokens = 5}).value();
  std::map<SequenceId, Outcome> outcomes;
  note(engine->step().value(), outcomes);
  engine->cancel(waiting);
  engine->cancel(running);
  engine->cancel(running);
  engine->cancel(999);
  note(engine->step().value(), outcomes);
  EXPECT_EQ(outcomes[running].reason, FinishReason::kCancelled);
  EXPECT_EQ(outcomes[waiting].reason, FinishReason::kCancelled);
  EXPECT_EQ(outcomes[waiting].tokens, 0);
  while (engine->has_work()) note(engine->step().value(), outcomes);
  EXPECT_EQ(outcomes[survivor].tokens, 5);
  engine->cancel(survivor);  // too late: nothing happens
  EXPECT_FALSE(engine->has_work());
}

TEST(Engine, EveryRequestEndsExactlyOnceUnderARandomLoad) {
  std::mt19937 random(5);
  for (int round = 0; round < 5; ++round) {
    const auto sequences = static_cast<int64_t>(1 + random() % 5);
    const auto engine = make({.context_tokens = 100,
                              .max_sequences = sequences,
                              .chunk_tokens = sequences + static_cast<int64_t>(random() % 20)});
    std::map<SequenceId, Outcome> outcomes;
    std::map<SequenceId, int64_t> limits;
    std::vector<SequenceId> cancelled;
    for (int i = 0; i < 25; ++i) {
      Request request{.prompt = prompt(static_cast<int64_t>(1 + random() % 90)),
                      .max_tokens = static_cast<int64_t>(1 + random() % 30)};
      request.sampling.seed = random();
      if (random() % 4 == 0) request.stop_token_ids = {static_cast<int32_t>(random() % 512)};
      const int64_t limit =
          std::min<int64_t>(request.max_tokens, 100 - static_cast<int64_t>(request.prompt.size()));
      const SequenceId id = engine->submit(std::move(request)).value();
      limits[id] = limit;
      for (size_t steps = random() % 6; steps > 0; --steps) note(engine->step().value(), outcomes);
      if (random() % 5 == 0) {
        cancelled.push_back(limits.begin()->first + random() % limits.size());
        engine->cancel(cancelled.back());
      }
    }
    while (engine->has_work()) note(engine->step().value(), outcomes);
    for (const auto& [id, limit] : limits) {
      ASSERT_EQ(outcomes[id].endings, 1) << "request " << id << " of round " << round;
      if (outcomes[id].reason == FinishReason::kLength) {
        EXPECT_EQ(outcomes[id].tokens, limit);
      }
      if (outcomes[id].reason == FinishReason::kCancelled) {
        EXPECT_THAT(cancelled, ::testing::Contains(id));
      }
    }
  }
}

TEST(Engine, TightStepsFitTheWorkspace) {
  // As many tokens per step as sequences: some rows want logits, some do not.
  for (const bool shortcut : {true, false})
    for (const int64_t sequences : {1, 2, 3, 5, 8}) {
      const auto engine = make({.context_tokens = 60,
                                .max_sequences = sequences,
                                .chunk_tokens = sequences,
                                .prompt_shortcut = shortcut});
      for (int64_t i = 0; i < 2 * sequences; ++i)
        engine->submit({.prompt = prompt(1 + 7 * i % 40), .max_tokens = 1 + i % 9}).value();
      EXPECT_EQ(static_cast<int64_t>(drain(*engine).size()), 2 * sequences);
    }
}

TEST(Engine, WhatOtherModelsMayUseIsNotThereForThisOne) {
  EngineOptions options{.context_tokens = 64, .chunk_tokens = 16};
  options.claimed_bytes = uint64_t{1} << 60;
  const auto refused = Engine::create(tiny(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("of which other models may use 1.15 EB"));
}

TEST(Engine, TheMemoryPlanCountsWhatItHolds) {
  const auto small = make({.context_tokens = 64, .chunk_tokens = 16});
  const auto large = make({.context_tokens = 640, .max_sequences = 2, .chunk_tokens = 16});
  EXPECT_EQ(small->memory_plan().weights_bytes, tiny()->text_size().bytes);
  // tiny-e owns 5 sliding layers of 1 x 32 and 1 full layer of 1 x 64, K and V in float32.
  const uint64_t sliding = 5 * 2 * 32 * 64 * 4, full = 2 * 64 * 64 * 4;
  EXPECT_EQ(small->memory_plan().kv_bytes, sliding + full);
  EXPECT_EQ(large->memory_plan().kv_bytes, 2 * (2 * sliding + 10 * full));
  EXPECT_GT(large->memory_plan().workspace_bytes, 0u);
  const auto windows = make({.context_tokens = 640,
                             .max_sequences = 2,
                             .chunk_tokens = 16,
                             .cache_tokens = 640,
                             .prefix_windows = 3});
  EXPECT_EQ(windows->memory_plan().kv_bytes, 2 * 2 * sliding + 10 * full + 3 * 2 * sliding);
  EXPECT_EQ(small->device().num_threads(), 2);
}

// Allows only ids divisible by 7 and ends after `length` of them.
class Sevens : public TokenConstraint {
 public:
  explicit Sevens(int length) : left_(length) {}
  void mask(std::span<uint32_t> bits) override {
    for (size_t i = 0; i < bits.size() * 32; ++i)
      if (i % 7 != 0) bits[i / 32] &= ~(1u << (i % 32));
  }
  void accept(int32_t id) override {
    EXPECT_EQ(id % 7, 0);
    --left_;
  }
  bool finished() const override { return left_ == 0; }

 private:
  int left_;
};

TEST(Engine, AConstraintBindsItsRequestOnly) {
  const auto engine = make({.context_tokens = 100, .max_sequences = 2});
  const SequenceId bound =
      engine
          ->submit(
              {.prompt = prompt(9), .max_tokens = 50, .constraint = std::make_shared<Sevens>(5)})
          .value();
  const SequenceId free = engine->submit({.prompt = prompt(9), .max_tokens = 20}).value();
  bool free_left_the_sevens = false;
  int bound_tokens = 0;
  while (engine->has_work())
    for (const Event& event : engine->step().value()) {
      if (event.sequence == free) free_left_the_sevens |= event.token->id % 7 != 0;
      if (event.sequence != bound) continue;
      EXPECT_EQ(event.token->id % 7, 0);
      ++bound_tokens;
      EXPECT_EQ(event.finish.has_value(), bound_tokens == 5);
    }
  EXPECT_EQ(bound_tokens, 5);
  EXPECT_TRUE(free_left_the_sevens);
}

// Breaks off before or behind the token number `count`.
class Failing : public TokenConstraint {
 public:
  Failing(int count, bool before) : left_(count), before_(before) {}
  void mask(std::span<uint32_t> bits) override {
    if (before_ && left_ == 1) fail(), std::fill(bits.begin(), bits.end(), 0);
  }
  void accept(int32_t) override {
    if (--left_ == 0) fail();
  }
  bool finished() const override { return failure_.has_value(); }
  std::optional<Error> failure() const override { return failure_; }

 private:
  void fail() { failure_ = {ErrorCode::kUnsupported, "a dead end"}; }

  int left_;
  bool before_;
  std::optional<Error> failure_;
};

TEST(Engine, AFailedConstraintEndsItsRequestWithAnError) {
  for (const bool before : {true, false}) {
    const auto engine = make({.context_tokens = 100, .max_sequences = 3});
    const SequenceId broken = engine
                                  ->submit({.prompt = prompt(9),
                                            .max_tokens = 4,  // the error has the last word
                                            .constraint = std::make_shared<Failing>(4, before)})
                                  .value();
    const SequenceId other = engine->submit({.prompt = prompt(9), .max_tokens = 20}).value();
    std::vector<Event> events;
    std::map<SequenceId, Outcome> outcomes;
    while (engine->has_work()) {
      events = engine->step().value();
      note(events, outcomes);
      for (const Event& event : events) {
        EXPECT_EQ(event.error.has_value(), event.finish == FinishReason::kError);
        if (event.error) {
          EXPECT_EQ(event.error->message, "a dead end");
        }
      }
    }
    EXPECT_EQ(outcomes[broken].reason, FinishReason::kError);
    EXPECT_EQ(outcomes[broken].tokens, before ? 3 : 4);
    EXPECT_EQ(outcomes[other].tokens, 20);
    // What it left can be continued.
    const int64_t cached = engine->stats().cached_prompt_tokens;
    engine->submit({.prompt = prompt(20), .max_tokens = 2}).value();
    drain(*engine);
    EXPECT_EQ(engine->stats().cached_prompt_tokens - cached, 9);
  }
  EXPECT_EQ(name_of(FinishReason::kError), "error");
}

}  // namespace
}  // namespace gemma4::engine
