// Generated ids to what a reader sees: reasoning, content, end.
//
//   G4_ASSIGN_OR_RETURN(Markers markers, find_markers(tokenizer));  // chat/tokens.h
//   OutputParser parser(markers);
//   text::Detokenizer detokenizer(tokenizer, text::SpecialTokens::kSkip);
//   for (const Event& event : parser.push(id, detokenizer.push(id))) show(event);
//
// Markers are recognised by id: the characters "<turn|>" written by ordinary tokens are text. The
// texts of the events, joined by kind, do not depend on how the output is cut into pieces.
// Tool calls are not read yet: their markers vanish, their text is content.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::chat {

// The ids that mean something here. Every other control token shows nothing, because the
// detokenizer releases no text for it.
struct Markers {
  int32_t channel_open = -1;     // <|channel>
  int32_t channel_close = -1;    // <channel|>
  std::optional<int32_t> quote;  // <|"|>, which outside a call stands for its own text
  std::vector<int32_t> stops;    // <eos>, <turn|>, <|tool_response> and what the caller adds

  bool is_stop(int32_t id) const;
};

// Looks the markers up by their strings. `id_of` answers for added tokens. Errors: kInvalidData
// naming the token when the vocabulary lacks one of <|channel>, <channel|>, <turn|>.
Result<Markers> find_markers(const std::function<std::optional<int32_t>(std::string_view)>& id_of);

struct Event {
  enum class Kind {
    kReasoning,  // `text` is to be appended to the reasoning
    kContent,    // `text` is to be appended to the answer
    kEnd,        // nothing follows; `text` is empty
  };
  Kind kind = Kind::kEnd;
  std::string text;

  bool operator==(const Event&) const = default;
};

// Reads one answer. Copyable; not thread-safe.
class OutputParser {
 public:
  enum class Start {
    kContent,
    kReasoning,  // the prompt ended with an open thought channel
  };

  explicit OutputParser(Markers markers, Start start = Start::kContent);

  // Takes a generated id and the text the detokenizer (special tokens skipped) released for it.
  // Text that comes with a marker is older than the marker: with a stop id pass what the
  // detokenizer still withholds. A stop id ends the answer; ids after the end are ignored.
  std::vector<Event> push(int32_t id, std::string_view piece);

  // The answer stops here without a stop id (length limit, stop string, cancelled).
  std::vector<Event> finish();

  bool ended() const { return state_ == State::kEnded; }

 private:
  enum class State { kContent, kLabel, kReasoning, kEnded };

  void take_text(std::string_view text, std::vector<Event>& events);
  void take_label(std::string_view text, std::vector<Event>& events);
  void take_reasoning(std::string_view text, std::vector<Event>& events);
  void finish_label(std::vector<Event>& events);
  void end(std::vector<Event>& events);

  Markers markers_;
  State state_;
  std::string label_;  // in kLabel: what has been read after <|channel>
  std::string held_;   // whitespace at the end of the reasoning, dropped unless more follows
};

}  // namespace gemma4::chat
