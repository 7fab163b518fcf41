// Output of which only the text is at hand (case files, another program): "<|channel>" and the
// other markers are taken by their characters. Where there are ids, use those: an answer may
// legitimately contain these characters.
//
//   OutputParser parser(MarkedText::markers(), options);
//   MarkedText marked;
//   for (const auto& [id, text] : marked.push(chunk)) show(parser.push(id, text));
//   for (const auto& [id, text] : marked.finish()) show(parser.push(id, text));
//   show(parser.finish());
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/output_parser.h"

namespace gemma4::chat {

// Cuts text at its markers. Copyable; linear time.
class MarkedText {
 public:
  struct Piece {
    int32_t id;        // of a marker; kText otherwise
    std::string text;  // empty for a marker

    bool operator==(const Piece&) const = default;
  };
  static constexpr int32_t kText = -1;

  // The ids that pieces have.
  static Markers markers();

  // Takes the next piece of the text. An end that could become a marker is withheld.
  std::vector<Piece> push(std::string_view text);
  // What is withheld turned out to be text.
  std::vector<Piece> finish();

 private:
  std::string pending_;
};

}  // namespace gemma4::chat
