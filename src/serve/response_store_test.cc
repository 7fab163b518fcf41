#include "serve/response_store.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace gemma4::serve {
namespace {

std::shared_ptr<ResponseTurn> turn_of(const std::string& text,
                                      std::shared_ptr<ResponseTurn> before = nullptr) {
  return std::make_shared<ResponseTurn>(text, "[]", std::move(before));
}

TEST(ResponseStore, NoOwnerSeesAnothers) {
  ResponseStore store({});
  store.put("a", "resp_1", {"body", turn_of("[]")});
  ASSERT_NE(store.find("a", "resp_1"), nullptr);
  EXPECT_EQ(store.find("a", "resp_1")->body, "body");
  EXPECT_EQ(store.find("b", "resp_1"), nullptr);
  EXPECT_FALSE(store.remove("b", "resp_1"));
  EXPECT_TRUE(store.remove("a", "resp_1"));
  EXPECT_FALSE(store.remove("a", "resp_1"));
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(ResponseStore, WhatWasUsedLongestAgoGivesWay) {
  ResponseStore store({.max_responses = 2});
  for (const char* id : {"1", "2"}) store.put("", id, {"body", turn_of("[]")});
  EXPECT_NE(store.find("", "1"), nullptr);
  store.put("", "3", {"body", turn_of("[]")});
  EXPECT_NE(store.find("", "1"), nullptr);
  EXPECT_EQ(store.find("", "2"), nullptr);
  EXPECT_EQ(store.size(), 2u);
}

TEST(ResponseStore, BytesAreBoundedWithTheTurnsThatLaterOnesNeed) {
  ResponseStore store({.max_bytes = 20'000});
  const std::string text(3000, 'x');
  std::shared_ptr<ResponseTurn> last;
  for (int i = 0; i < 100; ++i) {
    last = turn_of(text, last);
    store.put("", std::to_string(i), {"b", last});
  }
  EXPECT_GT(store.bytes(), 300'000u);  // `last` holds its chain
  last = nullptr;
  // The chain of the newest is longer than all bytes: nothing of it can be kept.
  EXPECT_EQ(store.size(), 0u);
  EXPECT_EQ(store.bytes(), 0u);
  store.put("", "small", {"b", turn_of(text)});
  EXPECT_EQ(store.size(), 1u);
  store.put("", "large", {std::string(30'000, 'x'), turn_of(text)});
  EXPECT_EQ(store.find("", "large"), nullptr);
  EXPECT_EQ(store.size(), 1u);
}

TEST(ResponseStore, ManyResponsesOfOneOwnerTakeNothingFromAnother) {
  ResponseStore store({.max_responses = 6});
  for (const char* id : {"1", "2", "3"}) store.put("small", id, {"body", turn_of("[]")});
  for (int i = 0; i < 1000; ++i) store.put("greedy", std::to_string(i), {"body", turn_of("[]")});
  for (const char* id : {"1", "2", "3"}) EXPECT_NE(store.find("small", id), nullptr) << id;
  for (const char* id : {"997", "998", "999"}) EXPECT_NE(store.find("greedy", id), nullptr) << id;
  EXPECT_EQ(store.size(), 6u);
  // What others leave free is anybody's, until they want it.
  for (const char* id : {"1", "2", "3"}) EXPECT_TRUE(store.remove("small", id));
  for (int i = 0; i < 6; ++i) store.put("greedy", str_cat("more", i), {"body", turn_of("[]")});
  EXPECT_NE(store.find("greedy", "more0"), nullptr);
  store.put("small", "4", {"body", turn_of("[]")});
  EXPECT_NE(store.find("small", "4"), nullptr);
  EXPECT_EQ(store.size(), 6u);
}

TEST(ResponseStore, LargeResponsesOfOneOwnerTakeNothingFromAnother) {
  ResponseStore store({.max_bytes = 20'000});
  store.put("small", "1", {"body", turn_of(std::string(3000, 'x'))});
  store.put("small", "2", {"body", turn_of(std::string(3000, 'x'))});
  std::shared_ptr<ResponseTurn> last;
  for (int i = 0; i < 20; ++i) {  // one conversation, all of which is held on to
    last = turn_of(std::string(3000, 'x'), last);
    store.put("greedy", std::to_string(i), {"body", last});
  }
  for (int i = 0; i < 20; ++i)
    store.put("greedy", str_cat("loose", i), {"body", turn_of(std::string(3000, 'x'))});
  EXPECT_NE(store.find("small", "1"), nullptr);
  EXPECT_NE(store.find("small", "2"), nullptr);
  last = nullptr;
  store.put("greedy", "after", {"body", turn_of("[]")});
  EXPECT_NE(store.find("greedy", "after"), nullptr);
  EXPECT_NE(store.find("small", "1"), nullptr);
  EXPECT_LE(store.bytes(), 20'000u);
}

TEST(ResponseStore, ALongConversationIsLetGoOneByOne) {
  ResponseStore store({.max_responses = 1});
  std::shared_ptr<ResponseTurn> last;
  for (int i = 0; i < 300'000; ++i) last = turn_of("", std::move(last));
  store.put("", "1", {"b", std::move(last)});
  EXPECT_TRUE(store.remove("", "1"));
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(ResponseStore, ResponsesExpire) {
  ResponseStore::Clock::time_point now{};
  ResponseStore store({.max_age = std::chrono::hours(1)}, [&] { return now; });
  store.put("", "1", {"b", turn_of("[]")});
  now += std::chrono::minutes(59);
  EXPECT_NE(store.find("", "1"), nullptr);
  now += std::chrono::minutes(1);
  EXPECT_EQ(store.find("", "1"), nullptr);
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(ResponseStore, NothingIsKeptWhereNothingMayBe) {
  ResponseStore store({.max_responses = 0});
  store.put("", "1", {"b", turn_of("[]")});
  EXPECT_EQ(store.find("", "1"), nullptr);
}

}  // namespace
}  // namespace gemma4::serve
