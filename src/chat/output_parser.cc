#include "chat/output_parser.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/strings.h"
#include "chat/tool_call.h"

namespace gemma4::chat {
namespace {

constexpr std::string_view kThoughtLabel = "thought\n";
constexpr std::string_view kWhitespace = " \t\r\n";

void emit(std::vector<Event>& events, Event::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (events.empty() || events.back().kind != kind) events.push_back({kind, ""});
  events.back().text += text;
}

// Emits `text` but for the whitespace at its end, which is held until more follows.
void emit_held(std::vector<Event>& events, Event::Kind kind, std::string_view text,
               std::string& held) {
  const size_t last = text.find_last_not_of(kWhitespace);
  if (last == std::string_view::npos) {
    held += text;
    return;
  }
  emit(events, kind, held);
  emit(events, kind, text.substr(0, last + 1));
  held = text.substr(last + 1);
}

// The schema of a declared function's arguments; null pointer for others.
const json::Value* parameters_of(const json::Value::Array& tools, std::string_view name) {
  for (const json::Value& tool : tools) {
    const json::Value* function = tool.find("function");
    if (function == nullptr) continue;
    const json::Value* declared = function->find("name");
    if (declared != nullptr && declared->is_string() && declared->as_string() == name)
      return function->find("parameters");
  }
  return nullptr;
}

}  // namespace

bool Markers::is_stop(int32_t id) const {
  return std::find(stops.begin(), stops.end(), id) != stops.end();
}

Result<Markers> find_markers(const std::function<std::optional<int32_t>(std::string_view)>& id_of) {
  for (const std::string_view token : {"<|channel>", "<channel|>", "<turn|>"}) {
    if (!id_of(token)) {
      return Error{ErrorCode::kInvalidData,
                   str_cat("the vocabulary has no control token ", token,
                           ", which the Gemma 4 chat format needs; is this a Gemma 4 tokenizer?")};
    }
  }
  Markers markers;
  markers.channel_open = *id_of("<|channel>");
  markers.channel_close = *id_of("<channel|>");
  markers.tool_call_open = id_of("<|tool_call>");
  markers.tool_call_close = id_of("<tool_call|>");
  markers.quote = id_of("<|\"|>");
  for (const std::string_view token : {"<eos>", "<turn|>", "<|tool_response>"}) {
    if (const std::optional<int32_t> id = id_of(token)) markers.stops.push_back(*id);
  }
  return markers;
}

OutputParser::OutputParser(Markers markers, ParserOptions options)
    : markers_(std::move(markers)),
      options_(std::move(options)),
      state_(options_.start == Start::kReasoning ? State::kReasoning : State::kContent) {}

std::vector<Event> OutputParser::push(int32_t id, std::string_view piece) {
  Events events;
  take_text(piece, events);
  if (!ended()) take_marker(id, events);
  return events;
}

std::vector<Event> OutputParser::finish() {
  Events events;
  if (!ended()) end(EndReason::kCutOff, events);
  return events;
}

void OutputParser::take_marker(int32_t id, Events& events) {
  const bool in_call = state_ == State::kCall;
  if (markers_.is_stop(id)) {
    end(EndReason::kStopToken, events);
  } else if (id == markers_.quote) {
    if (in_call) {
      call_ += kQuoteToken;
    } else {
      take_text("<|\"|>", events);
    }
  } else if (id == markers_.tool_call_open && options_.tool_calls == ToolCalls::kRead) {
    if (in_call) close_call(events);
    finish_label(events);
    state_ = State::kCall;
  } else if (id == markers_.tool_call_close && in_call) {
    close_call(events);
  } else if (id == markers_.channel_open && !in_call) {
    finish_label(events);
    state_ = State::kLabel;
  } else if (id == markers_.channel_close && !in_call) {
    finish_label(events);
    state_ = State::kContent;
  }
}

void OutputParser::take_text(std::string_view text, Events& events) {
  if (text.empty()) return;
  switch (state_) {
    case State::kContent:
      take_content(text, events);
      break;
    case State::kLabel:
      take_label(text, events);
      break;
    case State::kReasoning:
      emit_held(events, Event::Kind::kReasoning, text, held_reasoning_);
      break;
    case State::kCall:
      take_call(text, events);
      break;
    case State::kEnded:
      break;
  }
}

void OutputParser::take_content(std::string_view text, Events& events) {
  if (options_.tool_calls == ToolCalls::kIgnore) {
    emit(events, Event::Kind::kContent, text);  // only calls make a difference to whitespace
  } else {
    emit_held(events, Event::Kind::kContent, text, held_content_);
  }
}

void OutputParser::take_label(std::string_view text, Events& events) {
  label_ += text;
  if (kThoughtLabel.starts_with(label_) && label_.size() < kThoughtLabel.size()) return;
  std::string_view reasoning = label_;
  if (reasoning.starts_with(kThoughtLabel)) reasoning.remove_prefix(kThoughtLabel.size());
  emit_held(events, Event::Kind::kReasoning, reasoning, held_reasoning_);
  label_.clear();
  state_ = State::kReasoning;
}

void OutputParser::take_call(std::string_view text, Events& events) {
  const size_t begin = call_.size();
  call_ += text;
  std::replace(call_.begin() + static_cast<std::ptrdiff_t>(begin), call_.end(), kQuoteToken,
               '\xFE');  // neither is a byte of UTF-8
  // The name of a function has no bracket, so that the first one decides.
  if (header_ != Header::kIncomplete || call_.find_first_of("{(", begin) == call_.npos) return;
  const std::optional<CallHeader> header = read_header(call_);
  header_ = header ? Header::kRead : Header::kNone;
  if (header) start_call(header->name, events);
}

// What stands between <|channel> and the next marker and is neither empty nor the label itself was
// reasoning. Outside kLabel the buffer is empty.
void OutputParser::finish_label(Events& events) {
  if (!label_.empty() && label_ != "thought")
    emit_held(events, Event::Kind::kReasoning, label_, held_reasoning_);
  label_.clear();
}

void OutputParser::start_call(const std::string& name, Events& events) {
  held_content_.clear();
  events.push_back({.kind = Event::Kind::kCallStarted, .text = name, .call_idx = num_calls_++});
}

// The arguments are read as a whole: a repeated name replaces what was read before, which pieces
// already given away could not.
void OutputParser::close_call(Events& events) {
  const std::string body = std::exchange(call_, "");
  const Header known = std::exchange(header_, Header::kIncomplete);
  state_ = State::kContent;
  const std::optional<CallHeader> header = read_header(body);
  if (known == Header::kNone || !header) {
    take_content(call_text(body), events);
    return;
  }
  if (known == Header::kIncomplete) start_call(header->name, events);
  const int call_idx = num_calls_ - 1;
  const json::Value arguments =
      read_arguments(body, *header, parameters_of(options_.tools, header->name));
  events.push_back({Event::Kind::kArguments, json::dump(arguments), call_idx});
  events.push_back({.kind = Event::Kind::kCallFinished, .call_idx = call_idx});
}

void OutputParser::end(EndReason reason, Events& events) {
  finish_label(events);
  if (state_ == State::kCall && reason == EndReason::kCutOff && header_ == Header::kIncomplete) {
    take_content(call_text(std::exchange(call_, "")), events);  // cut off in its name: no call
  } else if (state_ == State::kCall) {
    close_call(events);
  }
  if (num_calls_ == 0) emit(events, Event::Kind::kContent, held_content_);
  state_ = State::kEnded;
  events.push_back({.kind = Event::Kind::kEnd, .end_reason = reason});
}

}  // namespace gemma4::chat
