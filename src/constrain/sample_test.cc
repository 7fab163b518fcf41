// Random answers under the schemas of the official suite: each is JSON and ends. With
// GEMMA4_SAMPLES=FILE they are written there, for a validator that is not ours
// (scripts/check_samples.sh).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "constrain/matcher.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {
namespace {

const std::string kSuite =
    std::string(GEMMA4_SOURCE_DIR) + "/build/cache/json-schema-suite/tests/draft2020-12";

// Draws tokens from random logits at temperature 2. Brackets and quotes that close become likelier
// with time, so that the text ends.
class Sampler {
 public:
  Sampler(const text::Tokenizer& tokenizer, uint32_t seed)
      : index_(VocabularyIndex::build(tokenizer)), random_(seed) {}

  // Nothing if it has not ended after 400 tokens.
  std::optional<std::string> sample(const std::shared_ptr<const CompiledGrammar>& grammar) {
    Matcher matcher(grammar, index_);
    std::vector<uint32_t> bits(index_->num_words());
    std::string text;
    for (int step = 0; step < 400; ++step) {
      if (matcher.can_end() && (matcher.is_done() || random_() % 4 == 0 || step > 30)) return text;
      matcher.allowed(bits);
      const text::TokenId id = draw(bits, step);
      EXPECT_GE(id, 0) << "a dead end after " << text;
      if (id < 0) return std::nullopt;
      EXPECT_TRUE(matcher.accept(id));
      text += index_->bytes(id);
    }
    return std::nullopt;
  }

 private:
  text::TokenId draw(const std::vector<uint32_t>& bits, int step) {
    constexpr float kTemperature = 2;
    std::normal_distribution<float> logit(0, 3);
    text::TokenId best = -1;
    float best_score = 0;
    for (text::TokenId id = 0; id < index_->size(); ++id) {
      if ((bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1) == 0) continue;
      // The largest of logit / temperature + Gumbel noise is a draw from the softmax.
      const float uniform = (static_cast<float>(random_() >> 8) + 0.5F) / (1 << 24);
      const float score = (logit(random_) + bonus(index_->bytes(id), step)) / kTemperature -
                          std::log(-std::log(uniform));
      if (best < 0 || score > best_score) best = id, best_score = score;
    }
    return best;
  }
  static float bonus(std::string_view bytes, int step) {
    const float weight = 12 + static_cast<float>(step) / 2;
    if (bytes == "}" || bytes == "]") return weight;
    if (bytes == "\"" || bytes == "null" || bytes == "1") return weight * 0.8F;
    return bytes.size() == 1 ? weight * 0.4F : 0;
  }

  std::shared_ptr<const VocabularyIndex> index_;
  std::mt19937 random_;
};

TEST(Samples, AreValidJsonAndEnd) {
  if (!std::filesystem::exists(kSuite))
    GTEST_SKIP() << kSuite << " is missing; scripts/fetch_schema_suite.sh fetches it";
  const auto tokenizer =
      text::Tokenizer::load(std::string(GEMMA4_SOURCE_DIR) + "/models/demo").value();
  Sampler sampler(tokenizer, 7);
  const char* path = std::getenv("GEMMA4_SAMPLES");
  std::ofstream out(path != nullptr ? path : "/dev/null");
  int schemas = 0;
  int ended = 0;
  int begun = 0;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kSuite))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ostringstream contents;
    contents << std::ifstream(file).rdbuf();
    const auto groups = json::parse(contents.str());
    if (!groups.ok()) continue;
    for (const json::Value& group : groups.value().as_array()) {
      const json::Value& schema = *group.find("schema");
      auto grammar = grammar_of_schema(schema, {.enforce_formats = true});
      if (!grammar.ok()) continue;
      ++schemas;
      const auto compiled = std::make_shared<CompiledGrammar>(grammar.value());
      for (int i = 0; i < (path != nullptr ? 10 : 1); ++i) {
        ++begun;
        const std::optional<std::string> text = sampler.sample(compiled);
        if (!text) continue;
        ++ended;
        EXPECT_TRUE(json::parse(*text).ok()) << *text;
        out << json::dump(schema) << '\t' << json::dump(json::Value(*text)) << '\n';
      }
    }
  }
  printf("%d schemas, %d of %d samples ended\n", schemas, ended, begun);
  EXPECT_GE(schemas, 200);
  EXPECT_GE(ended * 100, begun * 95);
}

}  // namespace
}  // namespace gemma4::constrain
