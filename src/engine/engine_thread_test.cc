// What EngineThread adds to Engine: requests of many threads get their own events, in order, with
// one ending each, whatever happens to the engine meanwhile.

#include "engine/engine_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <future>
#include <new>

namespace gemma4::engine {
namespace {

using model::Model;
using ::testing::HasSubstr;

std::string tiny_path() { return std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/tiny-e"; }

std::shared_ptr<const Model> tiny() {
  static const auto model = std::make_shared<const Model>(Model::load(tiny_path()).value());
  return model;
}

std::unique_ptr<EngineThread> make(EngineOptions options,
                                   std::shared_ptr<const Model> model = tiny()) {
  options.cpu.num_threads = 2;
  auto thread = EngineThread::create(std::move(model), options);
  EXPECT_TRUE(thread.ok()) << thread.error().message;
  return std::move(thread).value();
}

std::vector<int32_t> prompt(int64_t count, int64_t start = 0) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>(2 + (start + i) * 37 % 400));
  return ids;
}

// Collects the events of one request and lets a thread wait for the last.
struct Inbox {
  std::vector<int32_t> ids;
  SequenceId sequence = 0;
  std::optional<FinishReason> reason;
  std::optional<Error> error;
  std::atomic<int> endings{0};
  std::promise<void> ended;

  EngineThread::Sink sink() {
    return [this](const Event& event) {
      EXPECT_EQ(endings, 0) << "an event after the last one";
      EXPECT_TRUE(sequence == 0 || sequence == event.sequence);
      sequence = event.sequence;
      if (event.token) ids.push_back(event.token->id);
      if (!event.finish) return;
      reason = event.finish;
      error = event.error;
      ++endings;
      ended.set_value();
    };
  }
};

std::vector<int32_t> alone(const Request& request) {
  const auto engine =
      Engine::create(tiny(), {.context_tokens = 200, .cpu = {.num_threads = 2}}).value();
  engine->submit(request).value();
  std::vector<int32_t> ids;
  while (engine->has_work())
    for (const Event& event : engine->step().value()) ids.push_back(event.token->id);
  return ids;
}

TEST(EngineThread, RequestsOfManyThreadsGetTheirOwnTokens) {
  const auto engine = make({.context_tokens = 200, .max_sequences = 3, .chunk_tokens = 16});
  constexpr int kThreads = 4, kRequests = 5;
  const auto request = [](int thread, int i) {
    Request made{.prompt = prompt(3 + 7 * thread, 11 * i), .max_tokens = 4 + i};
    made.sampling.seed = static_cast<uint64_t>(thread * 100 + i);
    return made;
  };
  std::array<std::array<Inbox, kRequests>, kThreads> inboxes;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRequests; ++i) {
        Inbox& inbox = inboxes[static_cast<size_t>(t)][static_cast<size_t>(i)];
        const SequenceId id = engine->submit(request(t, i), inbox.sink()).value();
        if (i % 2 == 0) inbox.ended.get_future().wait();
        if (i % 2 == 0) {
          EXPECT_EQ(inbox.sequence, id);
        }
        EXPECT_GE(engine->stats().running, 0);
      }
    });
  for (std::thread& thread : threads) thread.join();
  int64_t prompt_tokens = 0, generated = 0;
  for (int t = 0; t < kThreads; ++t)
    for (int i = 0; i < kRequests; ++i) {
      Inbox& inbox = inboxes[static_cast<size_t>(t)][static_cast<size_t>(i)];
      if (i % 2 == 1) inbox.ended.get_future().wait();
      EXPECT_EQ(inbox.ids, alone(request(t, i))) << t << " " << i;
      EXPECT_EQ(inbox.reason, FinishReason::kLength);
      prompt_tokens += 3 + 7 * t;
      generated += 4 + i;
    }
  const EngineThread::Stats stats = engine->stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
  EXPECT_EQ(stats.prompt_tokens, prompt_tokens);
  EXPECT_EQ(stats.generated_tokens, generated);
  EXPECT_GT(stats.steps, 0);
  EXPECT_GT(stats.step_seconds_total, 0);
}

TEST(EngineThread, WhatTheEngineRefusesIsRefusedAndItsSinkStaysSilent) {
  const auto engine = make({.context_tokens = 64});
  const auto id = engine->submit({.prompt = {}}, [](const Event&) { FAIL(); });
  ASSERT_FALSE(id.ok());
  EXPECT_THAT(id.error().message, HasSubstr("the prompt is empty"));
  const auto none = EngineThread::create(tiny(), {.context_tokens = 1});
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("context of 1 tokens"));
}

TEST(EngineThread, CancelledRequestsEnd) {
  const auto engine = make({.context_tokens = 4000, .max_sequences = 2});
  std::array<Inbox, 4> inboxes;
  std::array<SequenceId, 4> ids{};
  for (size_t i = 0; i < inboxes.size(); ++i)
    ids[i] = engine->submit({.prompt = prompt(5), .max_tokens = 3900}, inboxes[i].sink()).value();
  for (const SequenceId id : ids) engine->cancel(id);
  engine->cancel(ids[0]);
  engine->cancel(12345);
  for (Inbox& inbox : inboxes) {
    inbox.ended.get_future().wait();
    EXPECT_EQ(inbox.reason, FinishReason::kCancelled);
  }
}

TEST(EngineThread, WhenAllAreCancelledNoneIsTakenAnyMore) {
  const auto engine = make({.context_tokens = 4000, .max_sequences = 2});
  std::array<Inbox, 4> inboxes;
  for (Inbox& inbox : inboxes)
    engine->submit({.prompt = prompt(5), .max_tokens = 3900}, inbox.sink()).value();
  engine->cancel_all();
  const auto late = engine->submit({.prompt = prompt(5), .max_tokens = 3900}, {});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
  for (Inbox& inbox : inboxes) {
    inbox.ended.get_future().wait();
    EXPECT_EQ(inbox.reason, FinishReason::kCancelled);
  }
}

TEST(EngineThread, TheEndOfTheThreadEndsEveryRequest) {
  std::array<Inbox, 5> inboxes;
  {
    const auto engine = make({.context_tokens = 4000, .max_sequences = 2});
    for (Inbox& inbox : inboxes)
      engine->submit({.prompt = prompt(5), .max_tokens = 3900}, inbox.sink()).value();
  }
  for (const Inbox& inbox : inboxes) {
    EXPECT_EQ(inbox.endings, 1);
    EXPECT_EQ(inbox.reason, FinishReason::kCancelled);
  }
}

// Computes as the CPU does until it is told to fail.
class FailingDevice : public kernels::Device {
 public:
  std::atomic<bool> fails{false};

  std::string name() const override { return "a device that fails"; }
  int num_threads() const override { return 0; }
  const kernels::Table& table() const override { return kernels::all_cpu_tables().front(); }
  kernels::Queue queue() override { return {.pool = &pool_}; }
  bool is_host() const override { return false; }
  uint64_t available_bytes() const override { return 0; }
  void upload(void* target, const void* source, size_t bytes) override {
    if (bytes > 0) std::memcpy(target, source, bytes);
  }
  void copy(void* target, const void* source, size_t bytes) override {
    upload(target, source, bytes);
  }
  void download(void* target, const void* source, size_t bytes) override {
    upload(target, source, bytes);
  }
  Status finish() override {
    if (fails) return Error{ErrorCode::kUnavailable, "the card fell off the bus"};
    return {};
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  std::byte* allocate_bytes(size_t bytes) override { return new (kAlignment) std::byte[bytes]; }
  void free(std::byte* memory) override { ::operator delete[](memory, kAlignment); }
  ThreadPool pool_{2};
};

TEST(EngineThread, AFailedDeviceEndsAllRequestsAndRefusesNewOnes) {
  const auto device = std::make_shared<FailingDevice>();
  const auto engine = make({.context_tokens = 4000, .max_sequences = 2},
                           std::make_shared<const Model>(Model::load(tiny_path(), device).value()));
  std::array<Inbox, 3> inboxes;
  for (Inbox& inbox : inboxes)
    engine->submit({.prompt = prompt(5), .max_tokens = 3900}, inbox.sink()).value();
  device->fails = true;
  for (Inbox& inbox : inboxes) {
    inbox.ended.get_future().wait();
    EXPECT_EQ(inbox.reason, FinishReason::kError);
    ASSERT_TRUE(inbox.error.has_value());
    EXPECT_THAT(inbox.error->message, HasSubstr("fell off the bus"));
  }
  const auto late = engine->submit({.prompt = prompt(5)}, [](const Event&) { FAIL(); });
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace gemma4::engine
