#include "constrain/matcher.h"

#include <algorithm>

#include "base/check.h"

namespace gemma4::constrain {
namespace {

// Sets the bits of the tokens in `tree` whose bytes lead somewhere from a configuration, but for
// those of free text, which are known.
class TreeWalk {
 public:
  TreeWalk(Explorer& explorer, const TokenTree& tree, const FreeText& free,
           std::span<uint32_t> bits)
      : explorer_(explorer), tree_(tree), leaving_(free), bits_(bits), path_(tree.max_depth + 1) {}

  void run(ConfigId config) {
    path_[0] = {config, 0};
    for (const uint32_t top : tree_.tops)
      if (top != TokenTree::kNone) walk(top, tree_.nodes[top].skip);
  }

 private:
  void walk(uint32_t i, uint32_t end) {
    while (i < end) {
      const TokenTree::Node& node = tree_.nodes[i];
      const Place& before = path_[node.depth - 1];
      const int free = leaving_.count(before.free, node.byte);
      if (!leaving_.may(node, free)) {
        i = node.skip;
        continue;
      }
      const ConfigId next = explorer_.step(before.config, node.byte);
      if (next == kDeadConfig) {
        i = node.skip;
        continue;
      }
      path_[node.depth] = {next, free};
      for (uint32_t t = node.first_token; t < node.first_token + node.num_tokens; ++t) {
        const auto id = static_cast<uint32_t>(tree_.tokens[t]);
        bits_[id / 32] |= 1U << (id % 32);
      }
      ++i;
    }
  }

  struct Place {
    ConfigId config;
    int free;  // what leaving_ counts
  };

  Explorer& explorer_;
  const TokenTree& tree_;
  const Leaving leaving_;
  const std::span<uint32_t> bits_;
  std::vector<Place> path_;  // by depth
};

}  // namespace

std::shared_ptr<Explorer> CompiledGrammar::borrow() const {
  std::unique_ptr<Explorer> explorer;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      explorer = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!explorer) explorer = std::make_unique<Explorer>(grammar_);
  return {explorer.release(), [home = shared_from_this()](Explorer* returned) {
            std::unique_ptr<Explorer> owned(returned);
            if (owned->crowded() || owned->over_budget()) return;
            const std::lock_guard lock(home->mutex_);
            if (home->idle_.size() < kMostIdle) home->idle_.push_back(std::move(owned));
          }};
}

size_t CompiledGrammar::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = sizeof(*this) + grammar_->bytes();
  for (const auto& explorer : idle_) bytes += explorer->bytes();
  return bytes;
}

Matcher::Matcher(std::shared_ptr<const CompiledGrammar> grammar,
                 std::shared_ptr<const VocabularyIndex> vocabulary)
    : grammar_(std::move(grammar)),
      vocabulary_(std::move(vocabulary)),
      explorer_(grammar_->borrow()),
      free_text_(std::make_shared<FreeTextFinder>(*explorer_, vocabulary_->text())),
      config_(explorer_->start()) {}

bool Matcher::accept_bytes(std::string_view text) {
  explorer_->renew_work();
  ConfigId config = config_;
  for (const char c : text) {
    config = explorer_->step(config, static_cast<uint8_t>(c));
    if (config == kDeadConfig) return false;
  }
  config_ = config;
  move_if_crowded();
  return true;
}

bool Matcher::accept_symbol(int32_t symbol) {
  explorer_->renew_work();
  const ConfigId config = explorer_->step_symbol(config_, symbol);
  if (config == kDeadConfig) return false;
  config_ = config;
  move_if_crowded();
  return true;
}

bool Matcher::accept(text::TokenId id) {
  const std::string_view bytes = vocabulary_->bytes(id);
  return bytes.empty() ? accept_symbol(id) : accept_bytes(bytes);
}

// Copies of this matcher keep the old explorer until they get here themselves.
void Matcher::move_if_crowded() {
  if (!explorer_->crowded()) return;
  auto fresh = std::make_shared<Explorer>(grammar_->grammar());
  config_ = fresh->adopt(*explorer_, config_);
  over_budget_ = over_budget();
  explorer_ = std::move(fresh);
  free_text_ = std::make_shared<FreeTextFinder>(*explorer_, vocabulary_->text());
}

void Matcher::allowed(std::span<uint32_t> bits) {
  G4_CHECK_LE(vocabulary_->num_words(), bits.size());
  move_if_crowded();
  explorer_->renew_work();
  const ConfigId config = explorer_->without_counts(config_, vocabulary_->all().max_code_points);
  if (const std::vector<uint32_t>* mask = explorer_->find_mask(config, vocabulary_.get())) {
    std::copy(mask->begin(), mask->end(), bits.begin());
    return;
  }
  std::fill(bits.begin(), bits.end(), 0);
  compute_mask(config, bits);
  explorer_->add_mask(config).assign(bits.begin(), bits.begin() + vocabulary_->num_words());
}

// Tokens of plain text are allowed all at once where any plain text is; the others are tried byte
// by byte, together as far as they begin alike.
void Matcher::compute_mask(ConfigId config, std::span<uint32_t> bits) {
  const FreeText free = free_text_->find(config);
  if (free.code_points > 0) vocabulary_->text().set(free.first, free.code_points, bits);
  const std::shared_ptr<const TokenTree> leaving = vocabulary_->leaving().find(free);
  TreeWalk(*explorer_, leaving ? *leaving : vocabulary_->all(), free, bits).run(config);
  std::vector<int32_t> symbols;
  explorer_->append_symbols(config, symbols);
  for (const int32_t symbol : symbols)
    if (symbol >= 0 && symbol < vocabulary_->size())
      bits[static_cast<size_t>(symbol) / 32] |= 1U << (symbol % 32);
}

std::string Matcher::forced_text(size_t max_bytes) {
  explorer_->renew_work();
  std::string text;
  ConfigId config = config_;
  while (text.size() < max_bytes) {
    const int byte = explorer_->forced_byte(config);
    if (byte < 0) break;
    config = explorer_->step(config, static_cast<uint8_t>(byte));
    if (config == kDeadConfig) break;  // over budget
    text += static_cast<char>(byte);
  }
  return text;
}

}  // namespace gemma4::constrain
