// What may follow in a grammar whatever it is: sets of code points of which any text leads on. All
// tokens of such text are allowed at once.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "constrain/explorer.h"
#include "constrain/text_tokens.h"

namespace gemma4::constrain {

// Text of up to `code_points` code points that begin with bytes of `first`.
struct FreeText {
  ByteSet first;
  int code_points = 0;  // kManyCodePoints: more may follow or not
  bool exact = false;   // no text of more of them may follow
  // The first bytes of what else may follow behind such text, and perhaps more.
  ByteSet others;
};

// For one explorer, whose tables it refers to.
class FreeTextFinder {
 public:
  FreeTextFinder(Explorer& explorer, const TextTokens& tokens)
      : explorer_(explorer), tokens_(tokens) {}

  // The text that may follow `config` and makes up the most tokens, roughly.
  FreeText find(ConfigId config);

 private:
  // Beyond these limits, looking for text costs more than it may save.
  static constexpr int kMostTrials = 6;
  static constexpr size_t kMostConfigs = 256;
  static constexpr size_t kMostStacks = 256;  // of one configuration

  // Code points that lead to the same places.
  struct Branch {
    ByteSet bytes;               // that they begin with
    std::vector<ConfigId> ends;  // none if some of them are impossible
  };
  // What the code points of a set do.
  struct Steps {
    ByteSet first;
    std::vector<Branch> branches;
    ByteSet missing;  // first bytes of those that are impossible
    ByteSet next;     // what may come next at all
  };
  // Where some text of a set ends earlier than other text.
  struct Obstacle {
    ByteSet missing;  // cannot come there
    ByteSet way;      // one of these came before
  };
  // When a configuration was reached first while measuring, and how.
  struct Visit {
    uint32_t search = 0;
    int code_points = 0;
    ByteSet way;
  };

  size_t weight(const ByteSet& bytes) const;
  ByteSet choose(ConfigId config);
  FreeText measure(ConfigId config, const ByteSet& first, Obstacle& obstacle);
  Visit& visit(ConfigId config);
  const Steps& steps(ConfigId config, const ByteSet& first);
  const ByteSet& free_bytes(ConfigId config);
  std::vector<Branch> branches(ConfigId config, const ByteSet& first);
  int add_branch(ConfigId config, int byte, const ByteSet& first, size_t row,
                 std::vector<Branch>& branches);
  bool follow(ConfigId config, int first, int last, int more, std::vector<ConfigId>& ends);

  Explorer& explorer_;
  const TextTokens& tokens_;
  std::unordered_map<ConfigId, Steps> steps_;  // for the set that was asked for last
  std::unordered_map<ConfigId, ByteSet> free_bytes_;
  std::vector<Visit> visits_;  // by configuration
  uint32_t search_ = 0;
};

}  // namespace gemma4::constrain
