// The constraint of a whole answer: thought, content, tool calls.
//
//   AnswerConstraint constraint(tokens, index, {.thinking = Thinking::kOn, .content = schema});
//   constraint.mask(bits);
//   constraint.accept(id);
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/token_constraint.h"
#include "constrain/control_tokens.h"
#include "constrain/matcher.h"

namespace gemma4::constrain {

enum class Thinking { kOff, kOn };

// kAuto: calls where the model begins one; kForced: one call at least and nothing else (also for a
// named tool, whose grammar then has that tool only). Without a grammar of calls: none.
enum class Calls { kAuto, kForced };

struct AnswerOptions {
  Thinking thinking = Thinking::kOff;
  // The prompt ends within a thought, behind its label.
  bool in_thought = false;
  // Most tokens of reasoning in the answer, all its thoughts together and their labels not counted.
  // Then the thought is ended by force, and no further one may open.
  int64_t thinking_budget = std::numeric_limits<int64_t>::max();
  std::shared_ptr<const CompiledGrammar> content;  // null: any text
  std::shared_ptr<const CompiledGrammar> calls;    // of grammar_of_calls; null: no calls
  Calls choice = Calls::kAuto;
};

// Starts where the prompt ends. Copies are cheap, for rollback; they belong to one thread.
// - With thinking, the first token may open a thought, and where any text may come later ones, too;
//   until it ends, the grammars wait.
// - Content of a grammar is followed by a stop token only; calls by more calls if their grammar has
//   them, then by a stop token only.
// - Control tokens that have no place in an answer are never allowed.
class AnswerConstraint final : public TokenConstraint {
 public:
  AnswerConstraint(std::shared_ptr<const ControlTokens> tokens,
                   std::shared_ptr<const VocabularyIndex> vocabulary, AnswerOptions options);

  void mask(std::span<uint32_t> bits) override;
  void accept(int32_t id) override;
  bool finished() const override;
  // kResourceExhausted: a grammar took too many states, so that mask() would forbid what it allows.
  // kUnsupported: nothing may follow that it allows. kInvalidData: mask() had forbidden the token.
  std::optional<Error> failure() const override { return failure_; }

 private:
  enum class Phase : uint8_t {
    kBegin,    // nothing has been generated
    kThought,  // inside of a thought
    kCutOff,   // the budget is spent: forced_ comes, which ends the thought
    kAnswer,   // content, of the grammar if there is one
    kCalls,    // from the first call on
    kEnd,      // a stop token has come
    kFailed,
  };

  bool must_call() const { return calls_ && options_.choice == Calls::kForced; }
  bool may_call() const;
  bool may_think() const;
  void mask_phase(std::span<uint32_t> bits);
  void mask_answer(std::span<uint32_t> bits);
  void accept_answer(int32_t id);
  void accept_thought(int32_t id);
  void begin_thought(std::string_view label);
  void cut_off();
  bool over_budget() const;
  void fail(Error error);
  void refuse();
  bool is_stop(int32_t id) const;

  std::shared_ptr<const ControlTokens> tokens_;
  std::shared_ptr<const VocabularyIndex> vocabulary_;
  AnswerOptions options_;
  Phase phase_ = Phase::kBegin;
  int64_t thought_tokens_ = 0;
  std::string_view label_left_;  // of the thought's label, as long as it is being written
  bool line_begins_ = false;     // in the thought
  std::vector<text::TokenId> forced_;
  bool content_begun_ = false;
  std::optional<Error> failure_;
  std::optional<Matcher> content_, calls_;
};

}  // namespace gemma4::constrain
