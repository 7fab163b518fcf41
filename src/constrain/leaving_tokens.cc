#include "constrain/leaving_tokens.h"

#include <functional>
#include <utility>
#include <vector>

namespace gemma4::constrain {
namespace {

// Copies the nodes of a tree that may lead to tokens that leave free text, with all their tokens.
class TreeCopy {
 public:
  TreeCopy(const TokenTree& all, const FreeText& text)
      : all_(all), leaving_(text), counts_(all.max_depth + 1) {
    copy_.tops.fill(TokenTree::kNone);
    copy_.max_depth = all.max_depth;
    copy_.max_code_points = all.max_code_points;
  }

  // False if there are more than `most` nodes.
  bool run(size_t most) {
    for (uint32_t i = 0; i < all_.nodes.size();) {
      const TokenTree::Node& node = all_.nodes[i];
      if (!takes(node)) {
        i = node.skip;
        continue;
      }
      if (copy_.nodes.size() == most) return false;
      add(node);
      ++i;
    }
    close(0);
    return true;
  }

  TokenTree take() { return std::move(copy_); }

 private:
  bool takes(const TokenTree::Node& node) {
    const int before = counts_[node.depth - 1];
    const int count = leaving_.count(before, node.byte);
    counts_[node.depth] = count;
    if (count == Leaving::kNotFree && before != Leaving::kNotFree)
      return !leaving_.is_dead(node, before);
    return leaving_.may(node, count);
  }

  void add(const TokenTree::Node& node) {
    close(node.depth - 1U);
    const auto i = static_cast<uint32_t>(copy_.nodes.size());
    if (node.depth == 1) copy_.tops[node.byte] = i;
    path_.push_back(i);
    copy_.nodes.push_back(node);
    copy_.nodes.back().first_token = static_cast<uint32_t>(copy_.tokens.size());
    const auto tokens = all_.tokens.begin() + node.first_token;
    copy_.tokens.insert(copy_.tokens.end(), tokens, tokens + node.num_tokens);
  }

  // Nothing more comes below the nodes at `depth` and deeper.
  void close(size_t depth) {
    for (; path_.size() > depth; path_.pop_back())
      copy_.nodes[path_.back()].skip = static_cast<uint32_t>(copy_.nodes.size());
  }

  const TokenTree& all_;
  const Leaving leaving_;
  std::vector<int> counts_;  // by depth in all_, what leaving_ counts
  TokenTree copy_;
  std::vector<uint32_t> path_;  // the nodes above the next one
};

}  // namespace

Leaving::Leaving(const FreeText& text) : text_(text) {
  for (int byte = 0; byte < 256; ++byte)
    if (text.others.test(byte)) wanted_ |= TokenTree::kind_of(static_cast<uint8_t>(byte));
}

std::shared_ptr<const TokenTree> LeavingTokens::find(const FreeText& text) const {
  if (text.code_points == 0) return nullptr;
  const Key key = key_of(text);
  {
    const std::lock_guard lock(mutex_);
    if (known_.size() >= kManyTrees && !known_.contains(key)) known_.clear();
    const auto [known, is_new] = known_.try_emplace(key);
    if (is_new || known->second.is_known) return known->second.tree;
  }
  std::shared_ptr<const TokenTree> tree = compute(text);
  const std::lock_guard lock(mutex_);
  known_.insert_or_assign(key, Entry{true, tree});
  return tree;
}

// How many code points of text there may be exactly makes no difference to the tree.
LeavingTokens::Key LeavingTokens::key_of(const FreeText& text) {
  return {text.first, text.others, text.exact ? 0 : text.code_points};
}

size_t LeavingTokens::KeyHash::operator()(const Key& key) const {
  const std::hash<ByteSet> hash;
  return hash(key.first) + 31 * hash(key.others) + static_cast<size_t>(key.code_points);
}

std::shared_ptr<const TokenTree> LeavingTokens::compute(const FreeText& text) const {
  TreeCopy copy(all_, text);
  if (!copy.run(kMostNodes)) return nullptr;
  return std::make_shared<const TokenTree>(copy.take());
}

}  // namespace gemma4::constrain
