#include "constrain/answer_constraint.h"

#include <algorithm>

namespace gemma4::constrain {
namespace {

void set(std::span<uint32_t> bits, text::TokenId id) {
  bits[static_cast<size_t>(id) / 32] |= 1U << (id % 32);
}

}  // namespace

AnswerConstraint::AnswerConstraint(std::shared_ptr<const ControlTokens> tokens,
                                   std::shared_ptr<const VocabularyIndex> vocabulary,
                                   AnswerOptions options)
    : tokens_(std::move(tokens)), vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  if (options_.content) content_.emplace(options_.content, vocabulary_);
  if (options_.calls) calls_.emplace(options_.calls, vocabulary_);
}

bool AnswerConstraint::is_stop(int32_t id) const {
  return std::find(tokens_->stops.begin(), tokens_->stops.end(), id) != tokens_->stops.end();
}

// Whether a call may begin now. Content of a grammar is not interrupted.
bool AnswerConstraint::may_call() const { return calls_ && !(content_ && content_begun_); }

void AnswerConstraint::mask(std::span<uint32_t> bits) {
  const size_t words = vocabulary_->num_words();
  const auto clear = [&] { std::fill(bits.begin(), bits.end(), 0); };
  switch (phase_) {
    case Phase::kBegin:
      mask_answer(bits);
      if (options_.thinking == Thinking::kOn) set(bits, tokens_->channel_begin);
      break;
    case Phase::kThought:
      clear();
      std::copy_n(tokens_->ordinary.begin(), words, bits.begin());
      set(bits, tokens_->channel_end);
      break;
    case Phase::kCutOff:
      clear();
      set(bits, newline_forced_ ? tokens_->channel_end : tokens_->newline);
      break;
    case Phase::kAnswer:
      mask_answer(bits);
      break;
    case Phase::kCalls:
      calls_->allowed(bits);
      std::fill(bits.begin() + static_cast<ptrdiff_t>(words), bits.end(), 0);
      if (calls_->can_end())
        for (const text::TokenId id : tokens_->stops) set(bits, id);
      break;
    case Phase::kEnd:
    case Phase::kBroken:
      clear();
      break;
  }
  // Nothing at all: finished, broken, or a grammar that took too many states.
  if (std::all_of(bits.begin(), bits.end(), [](uint32_t word) { return word == 0; }))
    for (const text::TokenId id : tokens_->stops) set(bits, id);
}

void AnswerConstraint::mask_answer(std::span<uint32_t> bits) {
  std::fill(bits.begin() + static_cast<ptrdiff_t>(vocabulary_->num_words()), bits.end(), 0);
  if (calls_ && options_.choice == Calls::kForced) {
    calls_->allowed(bits);
    return;
  }
  if (content_) {
    content_->allowed(bits);
    if (content_->can_end())
      for (const text::TokenId id : tokens_->stops) set(bits, id);
  } else {
    std::copy(tokens_->ordinary.begin(), tokens_->ordinary.end(), bits.begin());
    for (const text::TokenId id : tokens_->stops) set(bits, id);
    if (options_.thinking == Thinking::kOn) set(bits, tokens_->channel_begin);
  }
  if (may_call()) set(bits, tokens_->call_begin);
}

void AnswerConstraint::enter_thought() {
  phase_ = thought_tokens_ >= options_.thinking_budget ? Phase::kCutOff : Phase::kThought;
}

void AnswerConstraint::accept(int32_t id) {
  switch (phase_) {
    case Phase::kBegin:
    case Phase::kAnswer:
      accept_answer(id);
      break;
    case Phase::kThought:
      if (id == tokens_->channel_end) {
        phase_ = Phase::kAnswer;
        break;
      }
      ++thought_tokens_;
      enter_thought();
      newline_forced_ = id == tokens_->newline;  // one line break is enough
      break;
    case Phase::kCutOff:
      if (id == tokens_->channel_end) {
        phase_ = Phase::kAnswer;
      } else {
        newline_forced_ = true;
      }
      break;
    case Phase::kCalls:
      if (calls_->accept(id)) break;
      phase_ = calls_->can_end() && is_stop(id) ? Phase::kEnd : Phase::kBroken;
      break;
    case Phase::kEnd:
    case Phase::kBroken:
      break;
  }
}

void AnswerConstraint::accept_answer(int32_t id) {
  const bool may_think =
      phase_ == Phase::kBegin || (!content_ && options_.choice != Calls::kForced);
  if (id == tokens_->channel_begin && options_.thinking == Thinking::kOn && may_think) {
    enter_thought();
    return;
  }
  phase_ = Phase::kAnswer;
  if (id == tokens_->call_begin && may_call()) {
    phase_ = calls_->accept(id) ? Phase::kCalls : Phase::kBroken;
  } else if (calls_ && options_.choice == Calls::kForced) {
    phase_ = Phase::kBroken;
  } else if (content_) {
    const bool stops = content_->can_end() && is_stop(id);
    if (!content_->accept(id)) phase_ = stops ? Phase::kEnd : Phase::kBroken;
    content_begun_ = true;
  } else if (is_stop(id)) {
    phase_ = Phase::kEnd;
  } else if (vocabulary_->bytes(id).empty()) {
    phase_ = Phase::kBroken;
  }
}

bool AnswerConstraint::finished() const {
  switch (phase_) {
    case Phase::kEnd:
    case Phase::kBroken:
      return true;
    case Phase::kCalls:
      return calls_->can_end() && calls_->is_done();
    case Phase::kAnswer:
      return content_ && content_begun_ && content_->is_done();
    default:
      return false;
  }
}

}  // namespace gemma4::constrain
