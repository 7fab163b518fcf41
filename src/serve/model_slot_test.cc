// A model that comes and goes: when it is given back, who waits for it, and many threads meanwhile.
#include "serve/model_slot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr KeepAlive kAtOnce{0};

// Counts those that live, and says that it has taken three steps.
class CountedSource final : public TokenSource {
 public:
  explicit CountedSource(std::atomic<int>& alive) : alive_(alive) { ++alive_; }
  ~CountedSource() override { --alive_; }
  CountedSource(const CountedSource&) = delete;
  CountedSource& operator=(const CountedSource&) = delete;

  Result<engine::SequenceId> submit(engine::Request, Sink) override { return 1; }
  void cancel(engine::SequenceId) override {}
  void cancel_all() override {}
  Stats stats() const override { return {.running = 2, .steps = 3, .kv_blocks_total = 8}; }

 private:
  std::atomic<int>& alive_;
};

class ModelSlots : public ::testing::Test {
 protected:
  ModelSlots() { silence_log(); }

  std::unique_ptr<ServedModel> make_model() {
    return ServedModel::create({.name = "demo",
                                .loaded = demo_model(),
                                .source = std::make_unique<CountedSource>(alive),
                                .context_tokens = 512})
        .value();
  }
  std::unique_ptr<ModelSlot> make_slot(KeepAlive after) {
    return std::make_unique<ModelSlot>(
        make_model(), ModelSlot::IdleUnload{
                          .after = after, .load = [this]() -> Result<std::unique_ptr<ServedModel>> {
                            ++num_loads;
                            { const std::lock_guard lock(gate); }
                            if (throws) throw std::bad_alloc();
                            if (fails) return Error{ErrorCode::kIo, "the disk is gone"};
                            return make_model();
                          }});
  }
  // Asks the slot for a lease; what comes can be waited for.
  static std::future<Result<ModelLease>> ask(ModelSlot& slot, std::optional<KeepAlive> keep = {}) {
    const auto promise = std::make_shared<std::promise<Result<ModelLease>>>();
    if (ModelLease lease = slot.lease(keep))
      promise->set_value(std::move(lease));
    else
      slot.load(keep,
                [promise](Result<ModelLease> loaded) { promise->set_value(std::move(loaded)); });
    return promise->get_future();
  }
  static bool is_loaded(const ModelSlot& slot) { return slot.stats().is_loaded; }
  static bool is_given_back(const ModelSlot& slot) {
    return soon([&] { return !is_loaded(slot); });
  }

  std::atomic<int> alive = 0;  // models
  std::atomic<int> num_loads = 0;
  std::atomic<bool> fails = false, throws = false;
  std::mutex gate;  // who holds it holds loads up
};

TEST_F(ModelSlots, StayForEverWithoutALoader) {
  ModelSlot slot(make_model());
  EXPECT_FALSE(slot.unloads());
  slot.lease(kAtOnce).reset();
  slot.expire();
  EXPECT_EQ(slot.remaining().value() / hours(1), kForever / hours(1) - 1);
  EXPECT_TRUE(is_loaded(slot));
}

TEST_F(ModelSlots, AreGivenBackWhenNobodyUsesThem) {
  const auto slot = make_slot(milliseconds(1));
  ASSERT_TRUE(is_given_back(*slot));
  EXPECT_TRUE(soon([&] { return alive == 0; }));
  EXPECT_EQ(slot->name(), "demo");
  EXPECT_EQ(slot->facts().context_tokens, 512);
  EXPECT_EQ(slot->remaining(), std::nullopt);
  EXPECT_EQ(slot->lease(), nullptr);
  EXPECT_EQ(num_loads, 0);
  const auto loaded = ask(*slot).get();
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.value()->name(), "demo");
  EXPECT_EQ(slot->stats().loads, 1);
  EXPECT_EQ(alive, 1);
}

TEST_F(ModelSlots, StayWhileSomebodyHasALease) {
  const auto slot = make_slot(kAtOnce);
  auto loaded = ask(*slot).get();
  const int64_t unloads = slot->stats().unloads;
  {
    const ModelLease lease = std::move(loaded).value();
    loaded = Error{};
    ModelLease second = slot->lease(kAtOnce);
    slot->expire();
    std::this_thread::sleep_for(milliseconds(20));
    second.reset();
    std::this_thread::sleep_for(milliseconds(20));
    EXPECT_TRUE(is_loaded(*slot));
    EXPECT_EQ(alive, 1);
  }
  EXPECT_TRUE(is_given_back(*slot));
  EXPECT_TRUE(soon([&] { return slot->stats().unloads == unloads + 1; }));
}

TEST_F(ModelSlots, LoadOnceForAllWhoWait) {
  const auto slot = make_slot(hours(1));
  std::unique_lock held(gate);
  slot->expire();
  ASSERT_TRUE(is_given_back(*slot));
  std::vector<std::future<Result<ModelLease>>> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(ask(*slot));
  EXPECT_TRUE(soon([&] { return num_loads == 1; }));
  EXPECT_EQ(slot->stats().waiting, 8);
  held.unlock();
  std::vector<ModelLease> leases;
  for (auto& one : waiting) leases.push_back(one.get().value());
  for (const ModelLease& lease : leases) EXPECT_EQ(lease.get(), leases.front().get());
  EXPECT_EQ(num_loads, 1);
  EXPECT_EQ(slot->stats().waiting, 0);
}

TEST_F(ModelSlots, TellWhenTheyCannotBeLoadedAndTryAgain) {
  const auto slot = make_slot(kAtOnce);
  ASSERT_TRUE(is_given_back(*slot));
  for (std::atomic<bool>* const fault : {&fails, &throws}) {
    *fault = true;
    const auto failed = ask(*slot).get();
    *fault = false;
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(failed.error().message, HasSubstr("\"demo\" cannot be loaded now"));
  }
  EXPECT_EQ(slot->stats().failed_loads, 2);
  EXPECT_TRUE(ask(*slot).get().ok());
}

TEST_F(ModelSlots, RequestsSayHowLongTheyStay) {
  const auto slot = make_slot(hours(1));
  const auto hours_left = [&] {
    return (slot->remaining().value() + milliseconds(59'999)) / hours(1);
  };
  EXPECT_EQ(hours_left(), 1);
  slot->lease(hours(5)).reset();
  EXPECT_EQ(hours_left(), 5);
  slot->lease().reset();  // says nothing
  EXPECT_EQ(hours_left(), 5);
  slot->lease(kForever).reset();
  EXPECT_GT(hours_left(), 800'000);
  slot->lease(kAtOnce).reset();
  ASSERT_TRUE(is_given_back(*slot));
  EXPECT_TRUE(ask(*slot).get().ok());
  EXPECT_EQ(hours_left(), 1);  // as at the start
  slot->expire();
  ASSERT_TRUE(is_given_back(*slot));
  EXPECT_TRUE(ask(*slot, hours(3)).get().ok());
  EXPECT_EQ(hours_left(), 3);
}

TEST_F(ModelSlots, CountsGoOn) {
  const auto slot = make_slot(hours(1));
  EXPECT_EQ(slot->stats().steps, 3);
  slot->expire();
  ASSERT_TRUE(is_given_back(*slot));
  EXPECT_EQ(slot->stats().steps, 3);
  EXPECT_EQ(slot->stats().running, 0);
  EXPECT_EQ(slot->stats().kv_blocks_total, 0);
  ASSERT_TRUE(ask(*slot).get().ok());
  EXPECT_EQ(slot->stats().steps, 6);
  EXPECT_EQ(slot->stats().running, 2);
}

TEST_F(ModelSlots, EndWhileTheyAreLoaded) {
  auto slot = make_slot(kAtOnce);
  std::unique_lock held(gate);
  ASSERT_TRUE(is_given_back(*slot));
  auto waiting = ask(*slot);
  ASSERT_TRUE(soon([&] { return num_loads == 1; }));
  EXPECT_FALSE(slot->close());
  EXPECT_THAT(waiting.get().error().message, HasSubstr("shutting down"));
  EXPECT_THAT(ask(*slot).get().error().message, HasSubstr("shutting down"));
  held.unlock();
  slot.reset();
  EXPECT_EQ(alive, 0);
}

TEST_F(ModelSlots, CloseWithAModelOrWithout) {
  const auto with = make_slot(hours(1)), without = make_slot(kAtOnce);
  ModelLease lease = with->lease();
  ASSERT_TRUE(is_given_back(*without));
  EXPECT_TRUE(with->close());
  EXPECT_TRUE(without->close());
  EXPECT_EQ(alive, 0);
  lease.reset();  // it may come later than that
  EXPECT_EQ(num_loads, 0);
}

TEST_F(ModelSlots, ManyThreadsUseOneThatComesAndGoes) {
  const auto slot = make_slot(kAtOnce);
  std::atomic<bool> done = false;
  std::thread watcher([&] {
    while (!done) {
      slot->expire();
      EXPECT_LE(slot->stats().waiting, 8);
      slot->remaining();
    }
  });
  std::vector<std::thread> users;
  for (int user = 0; user < 8; ++user)
    users.emplace_back([&, user] {
      for (int i = 0; i < 100; ++i) {
        fails = (i + user) % 16 == 0;
        const auto loaded = ask(*slot, milliseconds(i % 2)).get();
        if (!loaded.ok()) continue;
        EXPECT_EQ(loaded.value()->name(), "demo");
        EXPECT_EQ(loaded.value()->source().stats().steps, 3);
        EXPECT_EQ(alive, 1);
        if (i % 8 == user) std::this_thread::sleep_for(milliseconds(1));
      }
    });
  for (std::thread& user : users) user.join();
  done = true;
  watcher.join();
  const ModelSlot::Stats stats = slot->stats();
  EXPECT_EQ(stats.loads + stats.failed_loads, num_loads);
  EXPECT_GT(stats.unloads, 0);
}

}  // namespace
}  // namespace gemma4::serve
