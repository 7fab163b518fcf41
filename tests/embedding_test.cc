// Embeddings: the mean of the reference's hidden states, however the prompt is cut and whoever runs
// beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "engine/engine.h"
#include "io/safetensors.h"

namespace gemma4::engine {
namespace {

using model::Model;

// Both are made by float32 sums in another order, layer after layer.
constexpr double kTolerance = 1e-4;

std::string folder_of(const std::string& name) {
  return std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/" + name;
}

EngineOptions options_of(int64_t chunk, int64_t sequences = 4) {
  EngineOptions options{.context_tokens = 256, .max_sequences = sequences, .chunk_tokens = chunk};
  options.cpu.num_threads = 2;
  options.embeddings = true;
  return options;
}

std::map<SequenceId, Event> last_events(Engine& engine) {
  std::map<SequenceId, Event> last;
  while (engine.has_work())
    for (Event& event : engine.step().value())
      if (event.finish) last[event.sequence] = std::move(event);
  return last;
}

struct Golden {
  std::shared_ptr<const Model> model;
  std::vector<int32_t> ids;
  std::vector<double> mean;  // [D] of the reference's hidden states after the final norm
};

Golden golden_of(const std::string& name) {
  Golden golden;
  golden.model = std::make_shared<const Model>(Model::load(folder_of(name)).value());
  const io::TensorStore store =
      io::TensorStore::open(folder_of(name) + "/golden.safetensors").value();
  const auto layers = golden.model->config().text.num_hidden_layers;
  const io::Tensor* ids = store.find("text.input_ids");
  const io::Tensor* hidden = store.find("text.hidden." + std::to_string(layers));
  std::vector<int64_t> values(static_cast<size_t>(ids->size()));
  std::memcpy(values.data(), ids->bytes.data(), ids->bytes.size());
  golden.ids.assign(values.begin(), values.end());
  std::vector<float> states(static_cast<size_t>(hidden->size()));
  std::memcpy(states.data(), hidden->bytes.data(), hidden->bytes.size());
  const float* rows = states.data();
  golden.mean.resize(static_cast<size_t>(hidden->shape[1]));
  for (int64_t row = 0; row < hidden->shape[0]; ++row)
    for (double& sum : golden.mean) sum += static_cast<double>(*rows++);
  for (double& sum : golden.mean) sum /= static_cast<double>(hidden->shape[0]);
  return golden;
}

double relative_error(const std::vector<float>& got, const std::vector<double>& want) {
  double difference = 0, norm = 0;
  EXPECT_EQ(got.size(), want.size());
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    difference += std::pow(static_cast<double>(got[i]) - want[i], 2);
    norm += want[i] * want[i];
  }
  return std::sqrt(difference / norm);
}

TEST(Embedding, IsTheMeanOfTheReferencesHiddenStates) {
  for (const char* name : {"tiny-e", "tiny-12b", "tiny-26b", "tiny-31b"}) {
    const Golden golden = golden_of(name);
    for (const int64_t chunk : {256, 8}) {
      auto engine = Engine::create(golden.model, options_of(chunk)).value();
      const SequenceId id = engine->submit({.prompt = golden.ids, .wants_embedding = true}).value();
      const Event event = last_events(*engine).at(id);
      EXPECT_EQ(event.finish, FinishReason::kStop);
      EXPECT_FALSE(event.token);
      EXPECT_LT(relative_error(event.embedding, golden.mean), kTolerance) << name << " " << chunk;
    }
  }
}

TEST(Embedding, DoesNotDependOnWhatTheCacheKnowsOrOnBatchMates) {
  const Golden golden = golden_of("tiny-e");
  auto engine = Engine::create(golden.model, options_of(64)).value();
  const auto embed = [&] {
    return engine->submit({.prompt = golden.ids, .wants_embedding = true}).value();
  };
  const auto generate = [&] {
    return engine->submit({.prompt = golden.ids, .max_tokens = 20}).value();
  };
  const SequenceId alone_text = generate();
  const SequenceId alone = embed();
  std::map<SequenceId, Event> first = last_events(*engine);
  const SequenceId text = generate();
  const SequenceId a = embed(), b = embed();
  std::map<SequenceId, Event> second = last_events(*engine);
  EXPECT_EQ(second.at(a).embedding, second.at(b).embedding);
  EXPECT_LT(relative_error(first.at(alone).embedding, golden.mean), kTolerance);
  EXPECT_LT(relative_error(second.at(a).embedding, golden.mean), kTolerance);
  EXPECT_EQ(second.at(a).cached_prompt_tokens, 0);
  EXPECT_GT(second.at(text).cached_prompt_tokens, 0);  // which the embeddings do not destroy
  EXPECT_EQ(second.at(text).token->id, first.at(alone_text).token->id);
}

TEST(Embedding, BlocksThatRunOutOnlyDelayIt) {
  const Golden golden = golden_of("tiny-e");
  EngineOptions options = options_of(32, 3);
  options.cache_tokens = 256;
  auto engine = Engine::create(golden.model, options).value();
  std::vector<int32_t> prompt;
  while (prompt.size() < 200) prompt.insert(prompt.end(), golden.ids.begin(), golden.ids.end());
  prompt.resize(200);
  const SequenceId alone = engine->submit({.prompt = prompt, .wants_embedding = true}).value();
  const std::vector<float> want = last_events(*engine).at(alone).embedding;
  const SequenceId text = engine->submit({.prompt = golden.ids, .max_tokens = 150}).value();
  std::vector<SequenceId> ids;
  for (int i = 0; i < 3; ++i)
    ids.push_back(engine->submit({.prompt = prompt, .wants_embedding = true}).value());
  const std::map<SequenceId, Event> events = last_events(*engine);
  EXPECT_TRUE(events.contains(text));
  for (const SequenceId id : ids)
    EXPECT_LT(
        relative_error(events.at(id).embedding, std::vector<double>(want.begin(), want.end())),
        kTolerance);
}

TEST(Embedding, ManyOfOneClientLetOthersInBetween) {
  const Golden golden = golden_of("tiny-e");
  auto engine = Engine::create(golden.model, options_of(64, 1)).value();
  for (int i = 0; i < 6; ++i)
    ASSERT_TRUE(engine->submit({.prompt = golden.ids, .wants_embedding = true}).ok());
  EXPECT_EQ(engine->stats().waiting_embeddings, 6);
  std::vector<SequenceId> texts;
  for (int i = 0; i < 2; ++i)
    texts.push_back(engine->submit({.prompt = golden.ids, .max_tokens = 1}).value());
  EXPECT_EQ(engine->stats().waiting, 8);
  std::vector<SequenceId> order;
  while (engine->has_work())
    for (const Event& event : engine->step().value())
      if (event.finish) order.push_back(event.sequence);
  ASSERT_EQ(order.size(), 8u);
  EXPECT_EQ(order[1], texts[0]);
  EXPECT_EQ(order[3], texts[1]);
}

TEST(Embedding, OnlyOfEnginesMadeForIt) {
  const Golden golden = golden_of("tiny-e");
  EngineOptions options = options_of(64);
  options.embeddings = false;
  auto engine = Engine::create(golden.model, options).value();
  const auto id = engine->submit({.prompt = golden.ids, .wants_embedding = true});
  ASSERT_FALSE(id.ok());
  EXPECT_THAT(id.error().message, testing::HasSubstr("not made for embeddings"));
}

}  // namespace
}  // namespace gemma4::engine
