// The engine's answers do not depend on circumstances: who shares the batch, how prompts are cut,
// how many threads there are, whether a neighbour was cancelled. Of the prefix cache and of memory
// pressure, metamorphic_cache_test.cc says the same.

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
