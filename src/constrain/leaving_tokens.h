// The tokens that may leave free text, or have another end: those that are left to try one by one
// where tokens of free text are allowed all at once.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "constrain/free_text.h"
#include "constrain/token_tree.h"

namespace gemma4::constrain {

// Which nodes of a tree may lead to such tokens.
class Leaving {
 public:
  static constexpr int kNotFree = -1;

  explicit Leaving(const FreeText& text);

  // Code points of free text so far and nothing else, or kNotFree: behind `byte`, where they were
  // `before`.
  int count(int before, uint8_t byte) const {
    if (before == kNotFree || !begins_code_point(byte)) return before;
    return text_.first.test(byte) ? before + 1 : kNotFree;
  }
  // Whether more may follow behind `count` code points than free text and what is impossible.
  bool may(const TokenTree::Node& node, int count) const {
    return count == kNotFree || (node.kinds & wanted_) != 0 ||
           (!text_.exact && count + static_cast<int>(node.height) > text_.code_points);
  }
  // Whether `node`, the first that is not of free text behind `count` code points of it, leads
  // nowhere whatever the grammar.
  bool is_dead(const TokenTree::Node& node, int count) const {
    return begins_code_point(node.byte) && !text_.others.test(node.byte) &&
           (node.kinds & TokenTree::kIllFormed) == 0 && (text_.exact || count < text_.code_points);
  }

 private:
  const FreeText& text_;
  uint64_t wanted_ = TokenTree::kIllFormed;
};

// Small trees of them, which are quicker to walk than the whole one; one for each kind of free text
// that is asked for again. Any thread may use it.
class LeavingTokens {
 public:
  explicit LeavingTokens(const TokenTree& all) : all_(all) {}

  // All tokens of `all` that may leave `text`, and perhaps more. None where that is most of them,
  // or not worth it yet.
  std::shared_ptr<const TokenTree> find(const FreeText& text) const;

 private:
  static constexpr size_t kManyTrees = 64;
  static constexpr size_t kMostNodes = 1 << 14;  // 400 KB

  struct Key {
    ByteSet first, others;
    int code_points;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct Entry {
    bool is_known = false;
    std::shared_ptr<const TokenTree> tree;
  };

  static Key key_of(const FreeText& text);
  std::shared_ptr<const TokenTree> compute(const FreeText& text) const;

  const TokenTree& all_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<Key, Entry, KeyHash> known_;  // guarded by mutex_
};

}  // namespace gemma4::constrain
