#include "engine/encoding_cache.h"

#include <gtest/gtest.h>

namespace gemma4::engine {
namespace {

std::shared_ptr<const model::SoftTokens> tokens(float value) {
  return std::make_shared<const model::SoftTokens>(model::SoftTokens{2, {value, value}});
}

TEST(EncodingCache, TheSameContentIsFoundAndNoOther) {
  EncodingCache cache;
  const std::vector<uint8_t> pixels = {1, 2, 3}, others = {1, 2, 4};
  const EncodingCache::Key key{.hash = 7, .budget = 70, .width = 1, .content = pixels};
  EXPECT_EQ(cache.find(key), nullptr);
  const auto made = tokens(1);
  cache.insert(key, made);
  EXPECT_EQ(cache.find(key), made);
  EncodingCache::Key other = key;
  other.budget = 140;
  EXPECT_EQ(cache.find(other), nullptr);
  other = key;
  other.content = others;  // the hash alone decides nothing
  EXPECT_EQ(cache.find(other), nullptr);
  other = key;
  other.width = 3;
  EXPECT_EQ(cache.find(other), nullptr);
  other = key;
  other.kind = model::MediaKind::kVideo;
  EXPECT_EQ(cache.find(other), nullptr);
}

TEST(EncodingCache, WhatWasNotUsedForLongestGoesFirst) {
  EncodingCache cache(2 * (1 + 2 * sizeof(float)));
  const std::vector<uint8_t> content = {0};
  const auto key = [&](uint64_t hash) {
    return EncodingCache::Key{.hash = hash, .content = content};
  };
  cache.insert(key(1), tokens(1));
  cache.insert(key(2), tokens(2));
  EXPECT_NE(cache.find(key(1)), nullptr);
  cache.insert(key(3), tokens(3));
  EXPECT_EQ(cache.find(key(2)), nullptr);
  EXPECT_NE(cache.find(key(1)), nullptr);
  EXPECT_NE(cache.find(key(3)), nullptr);
  EXPECT_EQ(cache.bytes(), 2 * (1 + 2 * sizeof(float)));
}

}  // namespace
}  // namespace gemma4::engine
