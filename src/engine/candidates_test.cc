// The head over candidates: which rows it reads, and that answers are those of the whole head.

#include "engine/candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace gemma4::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kRows = 4010;  // the last group is not whole
constexpr int64_t kWords = (kRows + 31) / 32;

std::vector<uint32_t> mask_of(std::initializer_list<size_t> ids) {
  std::vector<uint32_t> mask(kWords);
  for (const size_t id : ids) mask[id / 32] |= 1u << (id % 32);
  return mask;
}

Matrix head(int64_t rows, int64_t cols) {
  static const std::byte kNothing{};  // only its shape counts
  return {&kNothing, DType::kBF16, rows, cols};
}

TEST(CandidateRows, AreTheGroupsOfAllowedIds) {
  const std::vector<std::vector<uint32_t>> masks = {mask_of({0, 17, 40, 4009}), mask_of({47})};
  EXPECT_THAT(candidate_rows(masks, head(kRows, 1 << 20)),
              ElementsAre(ops::RowRange{0, 48}, ops::RowRange{4000, 4010}));
}

TEST(CandidateRows, BitsBehindTheVocabularyCountForNothing) {
  const std::vector<std::vector<uint32_t>> masks = {mask_of({5, kWords * 32 - 1})};
  EXPECT_THAT(candidate_rows(masks, head(kRows, 1 << 20)), ElementsAre(ops::RowRange{0, 16}));
}

TEST(CandidateRows, AllOfThemWhereThatIsAsFast) {
  const std::vector<std::vector<uint32_t>> few = {mask_of({5})};
  EXPECT_THAT(candidate_rows({}, head(kRows, 1 << 20)), IsEmpty());
  EXPECT_THAT(candidate_rows(few, head(kRows, 4)), IsEmpty()) << "a small head";
  std::vector<std::vector<uint32_t>> most = {std::vector<uint32_t>(kWords, 0)};
  for (size_t i = 0; i < kWords / 2 + 2; ++i) most[0][i] = 1u << 15 | 1u << 16;
  EXPECT_THAT(candidate_rows(most, head(kRows, 1 << 20)), IsEmpty()) << "half of the ids";
}

// Two ids, far from each other and others at every step; after each third token, any.
class FarApart : public TokenConstraint {
 public:
  explicit FarApart(size_t first) : next_(first) {}
  void mask(std::span<uint32_t> bits) override {
    if (next_ % 3 == 0) return;
    std::fill(bits.begin(), bits.end(), 0);
    for (const size_t id : {next_ * 97 % 2000, 6000 + next_ * 31 % 2000})
      bits[id / 32] |= 1u << (id % 32);
  }
  void accept(int32_t) override { ++next_; }
  bool finished() const override { return false; }

 private:
  size_t next_;
};

std::vector<int32_t> answers(const std::shared_ptr<const model::Model>& model, bool candidates) {
  auto engine = Engine::create(model, {.context_tokens = 100,
                                       .max_sequences = 2,
                                       .cpu = {.num_threads = 2},
                                       .head_over_candidates = candidates})
                    .value();
  // One with log-probabilities needs every logit, but only while it runs.
  for (const int32_t num_logprobs : {-1, 2, -1}) {
    Request request{.prompt = {2, 105, 300}, .max_tokens = 12};
    request.sampling.num_logprobs = num_logprobs;
    request.constraint = std::make_shared<FarApart>(static_cast<size_t>(1 - num_logprobs));
    request.stop_token_ids = {};
    EXPECT_TRUE(engine->submit(std::move(request)).ok());
  }
  std::vector<int32_t> tokens;
  while (engine->has_work())
    for (const Event& event : engine->step().value())
      if (event.token) tokens.push_back(event.token->id);
  return tokens;
}

TEST(HeadOverCandidates, AnswersAreThoseOfTheWholeHead) {
  const auto model = std::make_shared<const model::Model>(
      model::Model::load(std::string(GEMMA4_SOURCE_DIR) + "/models/demo").value());
  const Matrix& lm_head = model->weights().lm_head.weight;
  std::vector<std::vector<uint32_t>> masks(
      1, std::vector<uint32_t>(static_cast<size_t>(lm_head.rows / 32)));
  masks[0][3] = masks[0][200] = 1;
  ASSERT_EQ(candidate_rows(masks, lm_head).size(), 2u) << "it would not be tried";
  const std::vector<int32_t> tokens = answers(model, true);
  EXPECT_EQ(tokens.size(), 36u);
  EXPECT_EQ(tokens, answers(model, false));
}

}  // namespace
}  // namespace gemma4::engine
