// Follows one text through a grammar, token by token, and says which tokens may come next.
//
//   Matcher matcher(compiled, index);
//   matcher.allowed(bits);                 // before sampling
//   if (!matcher.accept(id)) ...           // after
//   Matcher saved = matcher;               // copies are cheap; assign one back to roll back
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "constrain/explorer.h"
#include "constrain/free_text.h"
#include "constrain/grammar.h"
#include "constrain/vocabulary_index.h"

namespace gemma4::constrain {

// A grammar with the tables that earlier texts have filled, for the next ones to use. Any thread
// may use it; it must be held by a shared_ptr.
class CompiledGrammar : public std::enable_shared_from_this<CompiledGrammar> {
 public:
  explicit CompiledGrammar(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {}

  const std::shared_ptr<const Grammar>& grammar() const { return grammar_; }
  // An explorer for one thread; it comes back here when the last copy of the pointer goes.
  std::shared_ptr<Explorer> borrow() const;
  // Memory that it holds now, explorers that are lent left out.
  size_t bytes() const;

 private:
  static constexpr size_t kMostIdle = 1;  // of up to 20 MB

  std::shared_ptr<const Grammar> grammar_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Explorer>> idle_;  // guarded by mutex_
};

// Copies share their tables: all copies of one matcher belong to one thread at a time.
class Matcher {
 public:
  Matcher(std::shared_ptr<const CompiledGrammar> grammar,
          std::shared_ptr<const VocabularyIndex> vocabulary);

  // Goes on by a token, a control token or text. False, without moving, if it may not come next.
  bool accept(text::TokenId id);
  bool accept_symbol(int32_t symbol);
  bool accept_bytes(std::string_view text);

  // Whether the text so far is complete, and whether it cannot be continued.
  bool can_end() const { return explorer_->can_end(config_); }
  bool is_done() const { return !explorer_->can_continue(config_); }

  // Sets bit id % 32 of bits[id / 32] for every token that may come next and clears the others;
  // `bits` has VocabularyIndex::num_words() words. Stop tokens are the caller's business.
  void allowed(std::span<uint32_t> bits);

  // The text that must come next, as far as there is no choice; at most `max_bytes` of it, and
  // perhaps not whole code points.
  std::string forced_text(size_t max_bytes);

  // True once something was treated as impossible because it would have taken too many states.
  bool over_budget() const { return over_budget_ || explorer_->over_budget(); }

 private:
  void compute_mask(ConfigId config, std::span<uint32_t> bits);
  void move_if_crowded();

  std::shared_ptr<const CompiledGrammar> grammar_;
  std::shared_ptr<const VocabularyIndex> vocabulary_;
  std::shared_ptr<Explorer> explorer_;
  std::shared_ptr<FreeTextFinder> free_text_;  // in explorer_
  ConfigId config_;
  bool over_budget_ = false;  // of explorers before this one
};

}  // namespace gemma4::constrain
