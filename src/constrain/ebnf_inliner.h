// Parts of a grammar as expressions, with the rules that they name written out.
#pragma once

#include <optional>
#include <vector>

#include "constrain/ebnf_letters.h"
#include "constrain/ebnf_parser.h"

namespace gemma4::constrain {

class EbnfInliner {
 public:
  // Measures `rules`. Both must outlive this.
  EbnfInliner(std::vector<EbnfRule>& rules, const EbnfLetters& letters);

  // Whether `node` is not written out: a control token, or a rule that is recursive or that would
  // be copied though it is large.
  bool is_letter(const EbnfNode& node) const;
  // `node`, a part of the rules, as an expression; nothing if it is too large.
  std::optional<Expression> write_out(const EbnfNode& node) const;

 private:
  static constexpr int kMostNodes = 200000;  // of one expression
  static constexpr int kMostCopied = 500;    // of a rule that is named more than once

  void measure(EbnfNode& node) const;
  Expression copy(const EbnfNode& node) const;

  std::vector<EbnfRule>& rules_;
  const EbnfLetters& letters_;
  std::vector<bool> letter_rules_;  // rules that are letters wherever they are named
};

}  // namespace gemma4::constrain
