#include "apps/text_evaluation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "apps/interrupt.h"
#include "apps/progress.h"
#include "apps/text_score.h"
#include "apps/text_stream.h"
#include "base/strings.h"
#include "base/thread_pool.h"

namespace gemma4::apps {
namespace {

constexpr int64_t kStep = 512;       // tokens of context that are fed at once
constexpr int64_t kScoredStep = 64;  // tokens whose logits are kept at once: 67 MB a model at most

class Evaluation {
 public:
  Evaluation(const TextChunks& chunks, const EvaluatedModels& models)
      : chunks_(chunks),
        models_(models),
        progress_("scoring", static_cast<uint64_t>(chunks.count() * chunks.chunk_tokens()),
                  Progress::Unit::kCount) {}

  Result<TextScores> run() {
    G4_ASSIGN_OR_RETURN(stream_, open(models_.model, models_.kv_type, models_.tape));
    if (models_.baseline != nullptr) {
      G4_ASSIGN_OR_RETURN(baseline_, open(models_.baseline, DType::kF32, nullptr));
    }
    for (int64_t i = 0; i < chunks_.count(); ++i) {
      G4_RETURN_IF_ERROR(score_chunk(chunks_.chunk(i)));
      progress_.update(static_cast<uint64_t>((i + 1) * chunks_.chunk_tokens()));
    }
    return std::move(scores_);
  }

 private:
  Result<std::unique_ptr<TextStream>> open(std::shared_ptr<const model::Model> model, DType kv_type,
                                           ops::Tape* tape) const {
    return TextStream::create(std::move(model), models_.device,
                              {.length = chunks_.chunk_tokens(),
                               .step = kStep,
                               .logits = kScoredStep,
                               .kv_type = kv_type,
                               .forward = {.prompt_shortcut = tape == nullptr},
                               .tape = tape});
  }

  Status score_chunk(std::span<const int32_t> ids) {
    stream_->restart();
    if (baseline_ != nullptr) baseline_->restart();
    const auto last = static_cast<int64_t>(ids.size()) - 1;  // predicts what the chunk lacks
    int64_t position = 0;
    while (position < last) {
      const bool scored = position >= chunks_.first_scored();
      const int64_t end = scored ? last : chunks_.first_scored();
      const int64_t count = std::min(scored ? kScoredStep : kStep, end - position);
      const auto step = ids.subspan(static_cast<size_t>(position), static_cast<size_t>(count));
      std::vector<int32_t> wanted(scored ? step.size() : 0);
      std::iota(wanted.begin(), wanted.end(), 0);
      G4_ASSIGN_OR_RETURN(const auto logits, stream_->feed(step, wanted));
      std::span<const float> baseline;
      if (baseline_ != nullptr) {
        G4_ASSIGN_OR_RETURN(baseline, baseline_->feed(step, wanted));
      }
      const auto targets = ids.subspan(static_cast<size_t>(position + 1), wanted.size());
      G4_RETURN_IF_ERROR(score_rows(logits, baseline, targets));
      position += count;
      if (interrupt_.interrupted()) return Error{ErrorCode::kCancelled, "interrupted"};
    }
    return {};
  }

  // logits [targets, V], and baseline the same or empty
  Status score_rows(std::span<const float> logits, std::span<const float> baseline,
                    std::span<const int32_t> targets) {
    const auto vocab_size = static_cast<size_t>(models_.model->config().text.vocab_size);
    std::vector<PairScore> rows(targets.size());
    pool().parallel_for(static_cast<int64_t>(rows.size()), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        const auto row = logits.subspan(i * vocab_size, vocab_size);
        if (baseline.empty()) {
          rows[i].nll = negative_log_likelihood(row, targets[i]);
        } else {
          rows[i] = score_pair(row, baseline.subspan(i * vocab_size, vocab_size), targets[i]);
        }
      }
    });
    for (const PairScore& row : rows) {
      if (!std::isfinite(row.nll) || !std::isfinite(row.baseline_nll))
        return Error{ErrorCode::kInvalidData,
                     str_cat("the logits of scored token ", scores_.nll.size(),
                             " are no numbers; the weights are damaged")};
      scores_.nll.push_back(row.nll);
      if (baseline.empty()) continue;
      scores_.baseline_nll.push_back(row.baseline_nll);
      scores_.divergence.push_back(row.divergence);
      scores_.same_best += row.same_best ? 1 : 0;
    }
    return {};
  }

  // The device's own threads, or some where it has none.
  ThreadPool& pool() {
    if (ThreadPool* const pool = models_.device->queue().pool) return *pool;
    if (pool_ == nullptr) pool_ = std::make_unique<ThreadPool>(ThreadPool::available_cores());
    return *pool_;
  }

  const TextChunks& chunks_;
  const EvaluatedModels& models_;
  std::unique_ptr<TextStream> stream_, baseline_;
  std::unique_ptr<ThreadPool> pool_;
  TextScores scores_;
  Progress progress_;
  InterruptGuard interrupt_;
};

}  // namespace

Result<TextScores> score_text(const TextChunks& chunks, const EvaluatedModels& models) {
  return Evaluation(chunks, models).run();
}

}  // namespace gemma4::apps
