#include "text/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace gemma4::text {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  held_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t place = held_.find(stop);
    if (place < first) {
      first = place;
      found_ = stop;
    }
  }
  if (first != std::string::npos) {
    matched_ = true;
    held_.resize(first);
    return std::exchange(held_, {});
  }
  // The longest suffix that is a proper prefix of a stop string stays.
  size_t keep = 0;
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
      if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
  std::string released = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return released;
}

std::string StopMatcher::finish() { return matched_ ? std::string() : std::exchange(held_, {}); }

}  // namespace gemma4::text
