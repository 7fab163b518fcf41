// The tokens of a vocabulary by the code points that they are made of.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"

namespace gemma4::constrain {

using ByteSet = std::bitset<256>;

// Longer tokens than of so many code points are nowhere in here.
inline constexpr int kManyCodePoints = 32;

// Whether a byte begins a code point in well-formed UTF-8.
inline bool begins_code_point(uint8_t byte) { return byte < 0x80 || (byte >= 0xC2 && byte < 0xF5); }

// How many code points `bytes` has, or -1 if they are not well-formed UTF-8.
int num_code_points(std::string_view bytes);

// Any thread may use it.
class TextTokens {
 public:
  // `bytes` is what the tokens write, by id.
  explicit TextTokens(const std::vector<std::string_view>& bytes);

  // Sets the bits of the tokens made of 1 to `most` whole code points, all of which begin with
  // bytes of `first`. `most` is 1 to kManyCodePoints.
  void set(const ByteSet& first, int most, std::span<uint32_t> bits) const;
  // A number of code points that only few of these tokens exceed.
  int usual_length(const ByteSet& first) const;
  // How many tokens have code points that begin with `byte`.
  size_t count(uint8_t byte) const { return with_[byte].size(); }

 private:
  using Mask = std::vector<uint32_t>;
  static constexpr size_t kManyMasks = 64;  // of 32 KB in the real vocabulary

  // Bytes that sets tend to have all or none of.
  struct Group {
    uint8_t first, last;
    Mask tokens;  // those with a code point that begins in here
  };

  void add(text::TokenId id, std::string_view bytes);
  void find_usual_lengths();
  std::shared_ptr<const Mask> tokens_of(const ByteSet& first) const;
  Mask compute(const ByteSet& first) const;
  void clear_tokens_with(uint8_t byte, Mask& mask) const;

  const size_t num_words_;
  Mask up_to_;                                        // [kManyCodePoints, num_words], by length
  std::array<std::vector<text::TokenId>, 256> with_;  // by first bytes of code points
  std::array<Mask, 256> masks_with_;                  // the same where they are many
  std::vector<Group> groups_;
  std::array<uint8_t, 256> usual_lengths_{};  // of the tokens in with_

  mutable std::mutex mutex_;
  mutable std::unordered_map<ByteSet, std::shared_ptr<const Mask>> known_;  // guarded by mutex_
};

}  // namespace gemma4::constrain
