#include "constrain/answer_constraint.h"

#include <algorithm>

namespace gemma4::constrain {
namespace {

void set(std::span<uint32_t> bits, text::TokenId id) {
  bits[static_cast<size_t>(id) / 32] |= 1U << (id % 32);
}

void set_all(std::span<uint32_t> bits, std::span<const text::TokenId> ids) {
  for (const text::TokenId id : ids) set(bits, id);
}

Error too_many_states() {
  return {ErrorCode::kResourceExhausted,
          "the schema or grammar can be read in too many ways here; a simpler one is needed"};
}

}  // namespace

AnswerConstraint::AnswerConstraint(std::shared_ptr<const ControlTokens> tokens,
                                   std::shared_ptr<const VocabularyIndex> vocabulary,
                                   AnswerOptions options)
    : tokens_(std::move(tokens)), vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  if (options_.content) content_.emplace(options_.content, vocabulary_);
  if (options_.calls) calls_.emplace(options_.calls, vocabulary_);
  if (options_.in_thought) begin_thought("");
}

bool AnswerConstraint::is_stop(int32_t id) const {
  return std::find(tokens_->stops.begin(), tokens_->stops.end(), id) != tokens_->stops.end();
}

// Whether a call may begin now. Content of a grammar is not interrupted.
bool AnswerConstraint::may_call() const { return calls_ && !(content_ && content_begun_); }

bool AnswerConstraint::may_think() const {
  if (options_.thinking == Thinking::kOff) return false;
  if (phase_ == Phase::kBegin) return true;
  return !content_ && !must_call() && thought_tokens_ < options_.thinking_budget;
}

bool AnswerConstraint::over_budget() const {
  return (content_ && content_->over_budget()) || (calls_ && calls_->over_budget());
}

void AnswerConstraint::fail(Error error) {
  phase_ = Phase::kFailed;
  failure_ = std::move(error);
}

// The token that came has no place here.
void AnswerConstraint::refuse() {
  fail(over_budget() ? too_many_states()
                     : Error{ErrorCode::kInvalidData, "a token came that may not follow here"});
}

void AnswerConstraint::mask(std::span<uint32_t> bits) {
  mask_phase(bits);
  if (phase_ == Phase::kFailed) return;
  if (over_budget()) {
    fail(too_many_states());
  } else if (std::all_of(bits.begin(), bits.end(), [](uint32_t word) { return word == 0; })) {
    fail({ErrorCode::kUnsupported,
          "nothing that the schema or grammar allows can follow here; it leads to a dead end"});
  }
}

void AnswerConstraint::mask_phase(std::span<uint32_t> bits) {
  const size_t words = vocabulary_->num_words();
  const auto clear = [&] { std::fill(bits.begin(), bits.end(), 0); };
  switch (phase_) {
    case Phase::kBegin:
    case Phase::kAnswer:
      mask_answer(bits);
      break;
    case Phase::kThought:
      clear();
      std::copy_n(tokens_->ordinary.begin(), words, bits.begin());
      set(bits, tokens_->channel_end);
      break;
    case Phase::kCutOff:
      clear();
      set(bits, forced_.front());
      break;
    case Phase::kCalls:
      calls_->allowed(bits);
      std::fill(bits.begin() + static_cast<ptrdiff_t>(words), bits.end(), 0);
      if (calls_->can_end()) set_all(bits, tokens_->stops);
      break;
    case Phase::kEnd:
      clear();
      set_all(bits, tokens_->stops);
      break;
    case Phase::kFailed:
      clear();
      break;
  }
}

void AnswerConstraint::mask_answer(std::span<uint32_t> bits) {
  std::fill(bits.begin() + static_cast<ptrdiff_t>(vocabulary_->num_words()), bits.end(), 0);
  if (must_call()) {
    calls_->allowed(bits);
  } else if (content_) {
    content_->allowed(bits);
    if (content_->can_end()) set_all(bits, tokens_->stops);
  } else {
    std::copy(tokens_->ordinary.begin(), tokens_->ordinary.end(), bits.begin());
    set_all(bits, tokens_->stops);
  }
  if (may_call()) set(bits, tokens_->call_begin);
  if (may_think()) set(bits, tokens_->channel_begin);
}

// `label` is what of its label is still to come.
void AnswerConstraint::begin_thought(std::string_view label) {
  phase_ = Phase::kThought;
  label_left_ = label;
  line_begins_ = label.empty();
  if (thought_tokens_ >= options_.thinking_budget) cut_off();
}

// A thought ends behind a line break, and one that has not begun is an empty one.
void AnswerConstraint::cut_off() {
  phase_ = Phase::kCutOff;
  forced_.clear();
  if (!label_left_.empty()) {
    forced_ = tokens_->thought_label;
  } else if (!line_begins_) {
    forced_ = {tokens_->newline};
  }
  forced_.push_back(tokens_->channel_end);
}

void AnswerConstraint::accept(int32_t id) {
  switch (phase_) {
    case Phase::kBegin:
    case Phase::kAnswer:
      accept_answer(id);
      break;
    case Phase::kThought:
      accept_thought(id);
      break;
    case Phase::kCutOff:
      if (id != forced_.front()) return refuse();
      forced_.erase(forced_.begin());
      if (forced_.empty()) phase_ = Phase::kAnswer;
      break;
    case Phase::kCalls:
      if (calls_->accept(id)) break;
      if (!calls_->can_end() || !is_stop(id)) return refuse();
      phase_ = Phase::kEnd;
      break;
    case Phase::kEnd:
    case Phase::kFailed:
      break;
  }
}

void AnswerConstraint::accept_thought(int32_t id) {
  const std::string_view bytes = vocabulary_->bytes(id);
  if (id == tokens_->channel_end) {
    phase_ = Phase::kAnswer;
  } else if (bytes.empty()) {
    refuse();
  } else if (label_left_.starts_with(bytes)) {
    label_left_.remove_prefix(bytes.size());
    line_begins_ = label_left_.empty();
  } else {
    label_left_ = {};
    line_begins_ = bytes.ends_with('\n');
    if (++thought_tokens_ >= options_.thinking_budget) cut_off();
  }
}

void AnswerConstraint::accept_answer(int32_t id) {
  if (id == tokens_->channel_begin && may_think()) return begin_thought(kThoughtLabel);
  phase_ = Phase::kAnswer;
  if (id == tokens_->call_begin && may_call()) {
    phase_ = Phase::kCalls;
    if (!calls_->accept(id)) refuse();
  } else if (must_call()) {
    refuse();
  } else if (content_) {
    const bool stops = content_->can_end() && is_stop(id);
    content_begun_ = true;
    if (content_->accept(id)) return;
    if (!stops) return refuse();
    phase_ = Phase::kEnd;
  } else if (is_stop(id)) {
    phase_ = Phase::kEnd;
  } else if (vocabulary_->bytes(id).empty()) {
    refuse();
  }
}

bool AnswerConstraint::finished() const {
  switch (phase_) {
    case Phase::kEnd:
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
