// The engine's answers do not depend on circumstances: who shares the batch, how prompts are cut,
// how many threads there are, whether a cached prefix was reused, whether a neighbour was
// cancelled.

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "engine/engine.h"
#include "kernels/registry.h"
#include "tests/tiny_models.h"

namespace gemma4::engine {
namespace {

std::vector<int32_t> prompt(uint64_t seed, int64_t count) {
  return testing::random_tokens(seed, count, 512);
}

Request greedy(std::vector<int32_t> ids, int64_t max_tokens) {
  Request request{.prompt = std::move(ids), .max_tokens = max_tokens};
  request.sampling.temperature = 0;
  return request;
}

// Requests of every sort, all different.
std::vector<Request> mixed_requests() {
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 6; ++i) {
    Request request{.prompt = prompt(i, static_cast<int64_t>(1 + 23 * i)),
                    .max_tokens = static_cast<int64_t>(10 + 9 * i)};
    request.sampling.seed = i;
    if (i == 1) request.sampling.temperature = 0;
    if (i == 2) request.sampling = {.temperature = 0.7f, .top_k = 5, .top_p = 1, .seed = 9};
    if (i == 3) request.sampling.repetition_penalty = 1.3f;
    if (i == 4) request.sampling = {.top_k = 0, .top_p = 0.9f, .min_p = 0.05f, .seed = 4};
    requests.push_back(std::move(request));
  }
  return requests;
}

class MetamorphicEngine : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Engine> make(EngineOptions options) const {
    if (options.context_tokens == EngineOptions().context_tokens) options.context_tokens = 400;
    auto engine = Engine::create(testing::load_tiny(GetParam()), options);
    G4_CHECK(engine.ok());
    return std::move(engine).value();
  }
};
INSTANTIATE_TEST_SUITE_P(Tiny, MetamorphicEngine, testing::tiny_models(), testing::tiny_case_name);

using Outputs = std::map<SequenceId, std::vector<int32_t>>;

void collect(const std::vector<Event>& events, Outputs& outputs) {
  for (const Event& event : events)
    if (event.token) outputs[event.sequence].push_back(event.token->id);
}

Outputs drain(Engine& engine) {
  Outputs outputs;
  while (engine.has_work()) collect(engine.step().value(), outputs);
  return outputs;
}

std::vector<std::vector<int32_t>> run_all(Engine& engine, const std::vector<Request>& requests) {
  std::vector<SequenceId> ids;
  for (const Request& request : requests) ids.push_back(engine.submit(request).value());
  Outputs outputs = drain(engine);
  std::vector<std::vector<int32_t>> tokens;
  for (const SequenceId id : ids) tokens.push_back(outputs[id]);
  return tokens;
}

std::vector<std::vector<int32_t>> run_each(Engine& engine, const std::vector<Request>& requests) {
  std::vector<std::vector<int32_t>> tokens;
  for (const Request& request : requests) tokens.push_back(run_all(engine, {request})[0]);
  return tokens;
}

TEST_P(MetamorphicEngine, TheBatchDoesNotChangeAnyonesTokens) {
  const std::vector<Request> requests = mixed_requests();
  const auto alone = run_each(*make({.chunk_tokens = 512, .cpu = {.num_threads = 2}}), requests);
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(static_cast<int64_t>(alone[i].size()), requests[i].max_tokens);
  const std::pair<int64_t, int64_t> shapes[] = {{4, 4}, {7, 2}, {16, 3}, {17, 4}, {64, 6}};
  for (const auto& [chunk, sequences] : shapes) {
    const auto engine =
        make({.max_sequences = sequences, .chunk_tokens = chunk, .cpu = {.num_threads = 2}});
    EXPECT_EQ(run_all(*engine, requests), alone) << sequences << " at once, steps of " << chunk;
  }
}

TEST_P(MetamorphicEngine, NeitherThreadsNorTheShortcutChangeTokens) {
  const std::vector<Request> requests = mixed_requests();
  const auto expected = run_all(*make({.max_sequences = 3, .cpu = {.num_threads = 1}}), requests);
  for (const int threads : {2, 3, 5})
    EXPECT_EQ(run_all(*make({.max_sequences = 3, .cpu = {.num_threads = threads}}), requests),
              expected)
        << threads << " threads";
  EXPECT_EQ(
      run_all(*make({.max_sequences = 3, .cpu = {.num_threads = 2}, .prompt_shortcut = false}),
              requests),
      expected);
}

TEST_P(MetamorphicEngine, EveryKernelTableGivesTheSameGreedyTokens) {
  setenv("GEMMA4_KERNELS", "reference", 1);
  const std::vector<Request> requests = {greedy(prompt(7, 30), 40)};
  const auto expected = run_all(*make({.cpu = {.num_threads = 2}}), requests);
  for (const kernels::Table& table : kernels::all_cpu_tables()) {
    setenv("GEMMA4_KERNELS", table.name, 1);
    const auto engine = make({.cpu = {.num_threads = 2}});
    EXPECT_EQ(engine->device().table().name, table.name);
    EXPECT_EQ(run_all(*engine, requests), expected) << table.name;
  }
  unsetenv("GEMMA4_KERNELS");
}

// A conversation: the second prompt begins with the first one and its answer.
TEST_P(MetamorphicEngine, AContinuedPrefixEqualsAFreshStart) {
  const auto engine = make({.chunk_tokens = 64, .cpu = {.num_threads = 2}});
  Request first = greedy(prompt(8, 100), 30);
  first.keep = true;
  const SequenceId kept = engine->submit(first).value();
  std::vector<int32_t> history = first.prompt;
  const auto answer = drain(*engine)[kept];
  history.insert(history.end(), answer.begin(), answer.end());
  for (const int32_t id : prompt(9, 20)) history.push_back(id);

  Request second = greedy(history, 30);
  second.continue_from = kept;
  const auto continued = run_all(*engine, {second});
  // Everything but the last token of the answer, which was never fed back.
  EXPECT_EQ(engine->reused_tokens(), 129);
  second.continue_from.reset();
  EXPECT_EQ(continued, run_all(*make({.chunk_tokens = 64, .cpu = {.num_threads = 2}}), {second}));
}

TEST_P(MetamorphicEngine, APrefixThatPartsIsReusedUpToThere) {
  for (const int64_t common : {1, 5, 63, 64, 65, 119, 120}) {
    const auto engine = make({.chunk_tokens = 32, .cpu = {.num_threads = 2}});
    Request first = greedy(prompt(10, 120), 10);
    first.keep = true;
    const SequenceId kept = engine->submit(first).value();
    drain(*engine);
    Request second = greedy(first.prompt, 12);
    if (common < 120) {
      second.prompt.resize(static_cast<size_t>(common));
      second.prompt.push_back((first.prompt[static_cast<size_t>(common)] + 1) % 512);
      for (const int32_t id : prompt(11, 30)) second.prompt.push_back(id);
    }
    second.continue_from = kept;
    const auto continued = run_all(*engine, {second});
    // 129 tokens were stored and the window reaches back at most 24: block 0 is gone.
    const int64_t expected = common == 120 ? 119 : common;
    const int64_t window = engine->model().config().text.sliding_window;
    EXPECT_EQ(engine->reused_tokens(), expected - window + 1 >= 64 ? expected : 0) << common;
    second.continue_from.reset();
    EXPECT_EQ(continued, run_all(*make({.cpu = {.num_threads = 2}}), {second})) << common;
  }
}

// Interrupted in the prompt or in the answer: what the cache holds by then is still good.
TEST_P(MetamorphicEngine, ACancelledSequenceThatWasKeptContinuesLikeAFreshOne) {
  for (const int steps : {1, 2, 4, 60}) {
    const auto engine = make({.chunk_tokens = 20, .cpu = {.num_threads = 2}});
    Request first = greedy(prompt(12, 50), 100);
    first.keep = true;
    const SequenceId kept = engine->submit(first).value();
    for (int i = 0; i < steps; ++i) engine->step().value();
    engine->cancel(kept);
    engine->step().value();
    ASSERT_FALSE(engine->has_work());
    Request second = greedy(prompt(12, 70), 20);
    second.continue_from = kept;
    const auto continued = run_all(*engine, {second});
    EXPECT_EQ(engine->reused_tokens() > 0, steps < 60);  // by then its window has slid on
    second.continue_from.reset();
    EXPECT_EQ(continued, run_all(*make({.cpu = {.num_threads = 2}}), {second}))
        << steps << " steps";
  }
}

TEST_P(MetamorphicEngine, CancellingOneLeavesTheOthersAlone) {
  const std::vector<Request> requests = mixed_requests();
  const EngineOptions options{.max_sequences = 3, .chunk_tokens = 16, .cpu = {.num_threads = 2}};
  const auto expected = run_all(*make(options), requests);
  for (const int steps : {0, 1, 3, 9, 20}) {
    const auto engine = make(options);
    std::vector<SequenceId> ids;
    for (const Request& request : requests) ids.push_back(engine->submit(request).value());
    Outputs outputs;
    for (int i = 0; i < steps; ++i) collect(engine->step().value(), outputs);
    engine->cancel(ids[1]);
    engine->cancel(ids[4]);
    while (engine->has_work()) collect(engine->step().value(), outputs);
    for (const size_t i : {0, 2, 3, 5})
      EXPECT_EQ(outputs[ids[i]], expected[i]) << "request " << i << " after " << steps << " steps";
    for (const size_t i : {1, 4}) {  // what they got before is a prefix of what was to come
      const auto& part = outputs[ids[i]];
      EXPECT_TRUE(std::equal(part.begin(), part.end(), expected[i].begin()));
    }
  }
}

}  // namespace
}  // namespace gemma4::engine
