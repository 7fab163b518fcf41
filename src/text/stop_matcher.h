// Stop strings in streamed text: releases what can no longer be part of one, and says when one is
// complete. A stop string may straddle pieces; the result does not depend on how the text is cut.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gemma4::text {

class StopMatcher {
 public:
  // Empty strings in `stops` are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // The text that is certain to be shown. After a match: what stood before it, once; then nothing.
  std::string push(std::string_view text);
  // The end of the text: what was held back, unless a stop string was found.
  std::string finish();
  bool matched() const { return matched_; }
  // The stop string that was found, the first where several begin at one place; else empty.
  const std::string& found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // a proper prefix of some stop string
  bool matched_ = false;
  std::string found_;
};

}  // namespace gemma4::text
