// Texts of tools and models made fit for one line of a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gemma4::apps {

// The front of `text`, which is well-formed UTF-8: white space of any length becomes one space,
// other control characters and those that turn the direction of writing become U+FFFD, and what is
// longer ends with "…".
std::string one_line(std::string_view text, size_t max_characters = 200);

// Takes the white space off the front of a text that comes in pieces.
class LeadingSpace {
 public:
  void begin() { at_front_ = true; }
  std::string_view strip(std::string_view piece);

 private:
  bool at_front_ = false;
};

}  // namespace gemma4::apps
