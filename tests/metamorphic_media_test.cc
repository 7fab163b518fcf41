// What metamorphic_engine_test.cc says of text, for prompts with pictures and sounds: answers do
// not depend on batch mates, on how prompts are cut, or on what was reused. The rows are random; no
// tower is asked.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "model/soft_tokens.h"
#include "tests/tiny_models.h"

namespace gemma4::engine {
namespace {

using model::MediaKind;

class MetamorphicMedia : public ::testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const model::Model> model() const { return testing::load_tiny(GetParam()); }
  std::unique_ptr<Engine> make(int64_t max_sequences, int64_t chunk_tokens) const {
    return Engine::create(model(), {.context_tokens = 400,
                                    .max_sequences = max_sequences,
                                    .chunk_tokens = chunk_tokens,
                                    .cpu = {.num_threads = 2}})
        .value();
  }

  void add_text(Request& request, uint64_t seed, int64_t count) const {
    const std::vector<int32_t> ids = testing::random_tokens(seed, count, 400);
    request.prompt.insert(request.prompt.end(), ids.begin(), ids.end());
  }
  // `count` random rows, and the placeholders that they stand for
  void add_media(Request& request, uint64_t seed, int64_t count,
                 MediaKind kind = MediaKind::kImage) const {
    testing::Random random(seed);
    const int64_t width = model()->config().text.hidden_size;
    auto tokens = std::make_shared<model::SoftTokens>();
    tokens->width = width;
    tokens->values = testing::floats(random, count * width);
    request.media.push_back({static_cast<int64_t>(request.prompt.size()), tokens, kind});
    const model::MediaTokenIds& ids = model()->config().media_token_ids;
    request.prompt.insert(request.prompt.end(), static_cast<size_t>(count),
                          kind == MediaKind::kAudio ? ids.audio : ids.image);
  }

  // Text alone; a picture longer than the window; pictures side by side and one at the end; a sound
  // between pictures, where the model hears.
  std::vector<Request> mixed_requests() const {
    std::vector<Request> requests(4);
    for (Request& request : requests) {
      request.max_tokens = 10;
      request.sampling.temperature = 0;
      add_text(request, 1, 9);
    }
    add_text(requests[0], 2, 50);
    add_media(requests[1], 3, 40);
    add_text(requests[1], 4, 30);
    add_media(requests[2], 5, 10);
    add_media(requests[2], 6, 12);
    add_text(requests[2], 7, 40);
    add_media(requests[2], 8, 30);
    add_text(requests[2], 9, 1);
    add_media(requests[3], 10, 20);
    add_text(requests[3], 11, 3);
    if (model()->config().media_token_ids.audio >= 0)
      add_media(requests[3], 12, 37, MediaKind::kAudio);
    add_text(requests[3], 13, 4);
    add_media(requests[3], 14, 25);
    add_text(requests[3], 15, 2);
    return requests;
  }
};
INSTANTIATE_TEST_SUITE_P(Tiny, MetamorphicMedia, testing::tiny_models(), testing::tiny_case_name);

std::vector<std::vector<int32_t>> run(Engine& engine, const std::vector<Request>& requests) {
  std::map<SequenceId, size_t> order;
  std::vector<std::vector<int32_t>> tokens(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) order[engine.submit(requests[i]).value()] = i;
  while (engine.has_work())
    for (const Event& event : engine.step().value())
      if (event.token) tokens[order[event.sequence]].push_back(event.token->id);
  return tokens;
}

TEST_P(MetamorphicMedia, NeitherTheBatchNorTheStepsChangeTokens) {
  const std::vector<Request> requests = mixed_requests();
  std::vector<std::vector<int32_t>> alone;
  for (const Request& request : requests) alone.push_back(run(*make(1, 400), {request})[0]);
  EXPECT_NE(alone[1], alone[2]);
  // 40: the longest picture and no token more
  const std::pair<int64_t, int64_t> shapes[] = {{1, 40}, {2, 41}, {4, 43}, {4, 300}};
  for (const auto& [sequences, chunk] : shapes)
    EXPECT_EQ(run(*make(sequences, chunk), requests), alone)
        << sequences << " at once, steps of " << chunk;
}

TEST_P(MetamorphicMedia, RowsMatterAndOtherRowsGiveOtherTokens) {
  std::vector<Request> requests = mixed_requests();
  const auto expected = run(*make(1, 64), {requests[1]});
  Request other = requests[0];
  other.prompt.clear();
  add_text(other, 1, 9);
  add_media(other, 333, 40);
  add_text(other, 4, 30);
  ASSERT_EQ(other.prompt, requests[1].prompt);
  EXPECT_NE(run(*make(1, 64), {other}), expected);
}

// The next turn of a conversation with pictures equals a fresh start, and reuses what it may: all
// of it, or what lies before the first picture that is another one.
TEST_P(MetamorphicMedia, ATurnThatGoesOnEqualsAFreshStart) {
  for (const bool same : {true, false}) {
    const auto engine = make(1, 128);
    Request first{.max_tokens = 8};
    first.sampling.temperature = 0;
    add_text(first, 1, 70);
    add_media(first, 2, 14);
    add_text(first, 3, 5);
    const std::vector<int32_t> answer = run(*engine, {first})[0];

    Request second{.max_tokens = 12};
    second.sampling.temperature = 0;
    add_text(second, 1, 70);
    add_media(second, same ? 2 : 22, 14);
    add_text(second, 3, 5);
    second.prompt.insert(second.prompt.end(), answer.begin(), answer.end());
    add_text(second, 4, 3);
    add_media(second, 5, 20);
    add_text(second, 6, 4);
    const int64_t cached = engine->stats().cached_prompt_tokens;
    EXPECT_EQ(run(*engine, {second}), run(*make(1, 128), {second})) << same;
    EXPECT_EQ(engine->stats().cached_prompt_tokens - cached, same ? 70 + 14 + 5 + 8 - 1 : 64);
  }
}

// All requests again on an engine that knows them, also beside each other: equal placeholders with
// other rows, and the same rows at the same place.
TEST_P(MetamorphicMedia, AWarmCacheChangesNoTokens) {
  std::vector<Request> requests = mixed_requests();
  Request other = requests[1];  // the same ids, other rows
  other.prompt.clear(), other.media.clear();
  add_text(other, 1, 9);
  add_media(other, 333, 40);
  add_text(other, 4, 30);
  ASSERT_EQ(other.prompt, requests[1].prompt);
  requests.push_back(other);
  for (Request& request : requests) {  // so that there are whole blocks behind the media
    add_text(request, 40, 70);
    request.max_tokens = 20;
  }
  std::vector<std::vector<int32_t>> alone;
  for (const Request& request : requests) alone.push_back(run(*make(1, 400), {request})[0]);
  const auto engine = make(3, 64);
  for (int round = 0; round < 3; ++round) EXPECT_EQ(run(*engine, requests), alone) << round;
  EXPECT_GT(engine->stats().cached_prompt_tokens, 0);
}

TEST_P(MetamorphicMedia, WhatDoesNotFitIsRefusedByName) {
  const auto engine = make(2, 40);
  const auto refused = [&](const Request& request) {
    const auto id = engine->submit(request);
    return id.ok() ? std::string("taken") : id.error().message;
  };
  Request request = mixed_requests()[1];
  if (model()->config().text.bidirectional_vision)  // 40 rows and a token of the other sequence
    EXPECT_NE(refused(request).find("a picture of 40 soft tokens must be in one step"),
              std::string::npos);
  else
    EXPECT_EQ(refused(request), "taken");
  request = mixed_requests()[3];
  ++request.media[0].position;
  EXPECT_NE(refused(request).find("is no placeholder"), std::string::npos);
  request = mixed_requests()[3];
  auto wide = *request.media[0].tokens;
  wide.width /= 2;
  request.media[0].tokens = std::make_shared<model::SoftTokens>(wide);
  EXPECT_NE(refused(request).find("wide, the model"), std::string::npos);
  request = mixed_requests()[3];
  request.media.back().tokens = std::make_shared<model::SoftTokens>();
  EXPECT_NE(refused(request).find("are none"), std::string::npos);
}

}  // namespace
}  // namespace gemma4::engine
