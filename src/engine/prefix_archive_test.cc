// Prefixes that outlive their engine: the next one computes less and answers the same.
#include "engine/prefix_archive.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/engine.h"
#include "engine/engine_thread.h"

namespace gemma4::engine {
namespace {

using model::Model;

std::shared_ptr<const Model> tiny() {
  static const auto model = std::make_shared<const Model>(
      Model::load(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/tiny-e").value());
  return model;
}

// Keeps them in memory.
struct Shelf final : PrefixArchive {
  std::vector<SavedPrefix> saved;
  size_t given = 0;
  void save(const SavedPrefix& prefix) override { saved.push_back(prefix); }
  std::optional<SavedPrefix> next() override {
    if (given == saved.size()) return std::nullopt;
    return saved[saved.size() - ++given];
  }
};

EngineOptions options(std::shared_ptr<PrefixArchive> archive, DType type = DType::kF32) {
  return {.context_tokens = 400,
          .max_sequences = 2,
          .chunk_tokens = 48,
          .kv_type = type,
          .prefix_windows = 8,
          .prefix_archive = std::move(archive),
          .cpu = {.num_threads = 1}};
}

std::vector<int32_t> prompt(int64_t count, int64_t start) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>(2 + (start + i) * 37 % 400));
  return ids;
}

struct Answer {
  std::vector<int32_t> ids;
  int64_t cached = 0;
};

Answer ask(Engine& engine, std::vector<int32_t> ids) {
  EXPECT_TRUE(engine.submit({.prompt = std::move(ids), .max_tokens = 20}).ok());
  const int64_t before = engine.stats().cached_prompt_tokens;
  Answer answer;
  while (engine.has_work())
    for (const Event& event : engine.step().value())
      if (event.token) answer.ids.push_back(event.token->id);
  answer.cached = engine.stats().cached_prompt_tokens - before;
  return answer;
}

TEST(PrefixArchive, TheNextEngineContinuesAndAnswersTheSame) {
  for (const DType type : {DType::kF32, DType::kBF16}) {
    const auto shelf = std::make_shared<Shelf>();
    std::vector<Answer> cold;
    {
      const auto engine = Engine::create(tiny(), options(shelf, type)).value();
      for (const int64_t length : {100, 150, 230})
        cold.push_back(ask(*engine, prompt(length, length)));
      while (engine->archive_one()) {
      }
    }
    ASSERT_GE(shelf->saved.size(), 3u);
    const auto engine = Engine::create(tiny(), options(shelf, type)).value();
    EXPECT_EQ(shelf->given, shelf->saved.size());
    EXPECT_GE(engine->stats().prefix_entries, 3);  // what they shared takes room for each
    size_t i = 0;
    for (const int64_t length : {100, 150, 230}) {
      const Answer warm = ask(*engine, prompt(length, length));
      EXPECT_EQ(cold[i].cached, 0);
      EXPECT_GE(warm.cached, 64);
      EXPECT_EQ(warm.ids, cold[i++].ids) << length;
    }
  }
}

TEST(PrefixArchive, WhatDoesNotFitIsLeftOut) {
  const auto shelf = std::make_shared<Shelf>();
  {
    const auto engine = Engine::create(tiny(), options(shelf)).value();
    ask(*engine, prompt(150, 0));
    ASSERT_TRUE(engine->archive_one());
  }
  const SavedPrefix right = shelf->saved.front();
  SavedPrefix shorter = right, later = right, unknown = right;
  shorter.rows.pop_back();
  later.sliding_first = 3;
  unknown.tokens[5] = 1 << 30;
  for (const SavedPrefix& wrong : {shorter, later, unknown}) {
    const auto bad = std::make_shared<Shelf>();
    bad->saved = {wrong};
    const auto engine = Engine::create(tiny(), options(bad)).value();
    EXPECT_EQ(engine->stats().prefix_entries, 0);
    EXPECT_EQ(engine->stats().kv_blocks_cached, 0);
  }
}

TEST(PrefixArchive, AThreadSavesWhenItIsIdleAndWhenItEnds) {
  const auto shelf = std::make_shared<Shelf>();
  auto thread = EngineThread::create(tiny(), options(shelf)).value();
  std::atomic<bool> ended = false;
  ASSERT_TRUE(thread
                  ->submit({.prompt = prompt(100, 0), .max_tokens = 4},
                           [&](const Event& event) {
                             if (event.finish) ended = true;
                           })
                  .ok());
  while (!ended) std::this_thread::yield();
  thread.reset();
  EXPECT_GE(shelf->saved.size(), 1u);
}

}  // namespace
}  // namespace gemma4::engine
