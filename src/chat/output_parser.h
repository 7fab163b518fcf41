// Generated ids to what a reader sees: reasoning, content, tool calls, end.
//
//   G4_ASSIGN_OR_RETURN(Markers markers, find_markers(tokenizer));  // chat/tokens.h
//   OutputParser parser(markers, {.tool_calls = ToolCalls::kRead, .tools = tools});
//   text::Detokenizer detokenizer(tokenizer, text::SpecialTokens::kSkip);
//   for (const Event& event : parser.push(id, detokenizer.push(id))) show(event);
//
// Markers are recognised by id: the characters "<turn|>" written by ordinary tokens are text. (For
// text without ids see marked_text.h.) The texts of the events, joined by kind and call, do not
// depend on how the output is cut into pieces. To get a whole message, see answer.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace gemma4::chat {

// The ids that mean something here. Every other control token shows nothing, because the
// detokenizer releases no text for it.
struct Markers {
  int32_t channel_open = -1;               // <|channel>
  int32_t channel_close = -1;              // <channel|>
  std::optional<int32_t> tool_call_open;   // <|tool_call>
  std::optional<int32_t> tool_call_close;  // <tool_call|>
  std::optional<int32_t> quote;            // <|"|>, which outside a call stands for its own text
  std::vector<int32_t> stops;  // <eos>, <turn|>, <|tool_response> and what the caller adds

  bool is_stop(int32_t id) const;
};

// Looks the markers up by their strings. `id_of` answers for added tokens. Errors: kInvalidData
// naming the token when the vocabulary lacks one of <|channel>, <channel|>, <turn|>.
Result<Markers> find_markers(const std::function<std::optional<int32_t>(std::string_view)>& id_of);

enum class EndReason {
  kStopToken,  // the model ended the answer
  kCutOff,     // finish() was called: limit, stop string, cancelled
};

struct Event {
  enum class Kind {
    kReasoning,     // `text` is to be appended to the reasoning
    kContent,       // `text` is to be appended to the answer
    kCallStarted,   // a call of the function `text`
    kArguments,     // `text` is to be appended to the JSON text of the call's arguments
    kCallFinished,  // its arguments are complete: one JSON object
    kEnd,           // nothing follows
  };
  Kind kind = Kind::kEnd;
  std::string text = {};
  int call_idx = 0;                              // of call events, from 0
  EndReason end_reason = EndReason::kStopToken;  // of kEnd

  bool operator==(const Event&) const = default;
};

enum class ToolCalls {
  kIgnore,  // their markers vanish, their text is content: no tools, or tool_choice "none"
  kRead,
};

struct ParserOptions {
  enum class Start {
    kContent,
    kReasoning,  // the prompt ended with an open thought channel
  };
  Start start = Start::kContent;
  ToolCalls tool_calls = ToolCalls::kIgnore;
  // Declarations as in the request. Their parameters say of which type an argument is; calls of
  // other functions are read without.
  json::Value::Array tools = {};
};

// Reads one answer. Copyable; not thread-safe. Memory and time are linear in the output.
class OutputParser {
 public:
  using Start = ParserOptions::Start;

  explicit OutputParser(Markers markers, ParserOptions options = {});

  // Takes a generated id and the text the detokenizer (special tokens skipped) released for it.
  // Text that comes with a marker is older than the marker: with a stop id pass what the
  // detokenizer still withholds. A stop id ends the answer; ids after the end are ignored.
  std::vector<Event> push(int32_t id, std::string_view piece);

  // The answer stops here without a stop id.
  std::vector<Event> finish();

  bool ended() const { return state_ == State::kEnded; }
  int num_calls() const { return num_calls_; }

 private:
  enum class State { kContent, kLabel, kReasoning, kCall, kEnded };
  // The beginning of an open call.
  enum class Header { kIncomplete, kRead, kNone };
  using Events = std::vector<Event>;

  void take_marker(int32_t id, Events& events);
  void take_text(std::string_view text, Events& events);
  void take_label(std::string_view text, Events& events);
  void take_call(std::string_view text, Events& events);
  void take_content(std::string_view text, Events& events);
  void finish_label(Events& events);
  void start_call(const std::string& name, Events& events);
  void close_call(Events& events);
  void end(EndReason reason, Events& events);

  Markers markers_;
  ParserOptions options_;
  State state_;
  std::string label_;           // in kLabel: what has been read after <|channel>
  std::string held_reasoning_;  // whitespace at its end, dropped unless more follows
  std::string held_content_;    // the same; an answer without calls keeps it
  std::string call_;            // in kCall: its body, with kQuoteToken for <|"|>
  Header header_ = Header::kIncomplete;
  int num_calls_ = 0;  // begun so far
};

}  // namespace gemma4::chat
