#include "constrain/text_tokens.h"

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace gemma4::constrain {
namespace {

constexpr std::pair<uint8_t, uint8_t> kGroups[] = {
    {0x00, 0x1F}, {'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {0x80, 0xFF}};

void set_bit(std::span<uint32_t> mask, text::TokenId id) {
  mask[static_cast<size_t>(id) / 32] |= 1U << (id % 32);
}

}  // namespace

int num_code_points(std::string_view bytes) {
  int count = 0;
  for (; !bytes.empty(); ++count) {
    const text::Utf8Sequence next = text::next_sequence(bytes);
    if (next.kind != text::Utf8Sequence::Kind::kValid) return -1;
    bytes.remove_prefix(next.length);
  }
  return count;
}

TextTokens::TextTokens(const std::vector<std::string_view>& bytes)
    : num_words_((bytes.size() + 31) / 32), up_to_(kManyCodePoints * num_words_) {
  for (const auto& [first, last] : kGroups) groups_.push_back({first, last, Mask(num_words_)});
  for (size_t id = 0; id < bytes.size(); ++id) add(static_cast<text::TokenId>(id), bytes[id]);
  find_usual_lengths();
}

void TextTokens::add(text::TokenId id, std::string_view bytes) {
  const int count = num_code_points(bytes);
  if (count < 1 || count > kManyCodePoints) return;
  for (int most = count; most <= kManyCodePoints; ++most)
    set_bit(std::span(up_to_).subspan((most - 1) * num_words_, num_words_), id);
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    std::vector<text::TokenId>& tokens = with_[byte];
    if (!begins_code_point(byte) || (!tokens.empty() && tokens.back() == id)) continue;
    tokens.push_back(id);
    // A list is longer than a mask from here on, and slower.
    if (tokens.size() == num_words_ / 8) {
      masks_with_[byte].assign(num_words_, 0);
      for (const text::TokenId known : tokens) set_bit(masks_with_[byte], known);
    } else if (tokens.size() > num_words_ / 8) {
      set_bit(masks_with_[byte], id);
    }
    for (Group& group : groups_)
      if (group.first <= byte && byte <= group.last) set_bit(group.tokens, id);
  }
}

void TextTokens::set(const ByteSet& first, int most, std::span<uint32_t> bits) const {
  const std::shared_ptr<const Mask> tokens = tokens_of(first);
  const uint32_t* up_to = up_to_.data() + static_cast<size_t>(most - 1) * num_words_;
  for (size_t i = 0; i < num_words_; ++i) bits[i] |= (*tokens)[i] & up_to[i];
}

void TextTokens::find_usual_lengths() {
  constexpr size_t kFew = 20;
  for (size_t byte = 0; byte < with_.size(); ++byte) {
    const auto longer_than = [&](int length) {
      const uint32_t* up_to = up_to_.data() + static_cast<size_t>(length - 1) * num_words_;
      return static_cast<size_t>(std::count_if(
          with_[byte].begin(), with_[byte].end(),
          [&](auto id) { return (up_to[static_cast<size_t>(id) / 32] >> (id % 32) & 1) == 0; }));
    };
    int length = 1;
    while (length < kManyCodePoints && longer_than(length) > kFew) ++length;
    usual_lengths_[byte] = static_cast<uint8_t>(length);
  }
}

int TextTokens::usual_length(const ByteSet& first) const {
  int length = 1;
  for (size_t byte = 0; byte < usual_lengths_.size(); ++byte)
    if (first.test(byte)) length = std::max<int>(length, usual_lengths_[byte]);
  return length;
}

std::shared_ptr<const TextTokens::Mask> TextTokens::tokens_of(const ByteSet& first) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(first); known != known_.end()) return known->second;
  }
  auto mask = std::make_shared<const Mask>(compute(first));
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kManyMasks) known_.clear();
  known_.emplace(first, mask);
  return mask;
}

// All tokens without those that have other code points.
TextTokens::Mask TextTokens::compute(const ByteSet& first) const {
  Mask mask(up_to_.end() - static_cast<ptrdiff_t>(num_words_), up_to_.end());
  ByteSet others = ~first;
  for (const Group& group : groups_) {
    bool none = true;
    for (int byte = group.first; byte <= group.last; ++byte)
      none = none && (others.test(byte) || !begins_code_point(static_cast<uint8_t>(byte)));
    if (!none) continue;
    for (size_t i = 0; i < num_words_; ++i) mask[i] &= ~group.tokens[i];
    for (int byte = group.first; byte <= group.last; ++byte) others.reset(byte);
  }
  for (int byte = 0; byte < 256; ++byte)
    if (others.test(byte)) clear_tokens_with(static_cast<uint8_t>(byte), mask);
  return mask;
}

void TextTokens::clear_tokens_with(uint8_t byte, Mask& mask) const {
  const Mask& with = masks_with_[byte];
  if (with.empty()) {
    for (const text::TokenId id : with_[byte])
      mask[static_cast<size_t>(id) / 32] &= ~(1U << (id % 32));
  } else {
    for (size_t i = 0; i < num_words_; ++i) mask[i] &= ~with[i];
  }
}

}  // namespace gemma4::constrain
