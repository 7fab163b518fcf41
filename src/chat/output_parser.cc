#include "chat/output_parser.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/strings.h"

namespace gemma4::chat {
namespace {

constexpr std::string_view kThoughtLabel = "thought\n";
constexpr std::string_view kWhitespace = " \t\r\n";

void emit(std::vector<Event>& events, Event::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (events.empty() || events.back().kind != kind) events.push_back({kind, ""});
  events.back().text += text;
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
  markers.quote = id_of("<|\"|>");
  for (const std::string_view token : {"<eos>", "<turn|>", "<|tool_response>"}) {
    if (const std::optional<int32_t> id = id_of(token)) markers.stops.push_back(*id);
  }
  return markers;
}

OutputParser::OutputParser(Markers markers, Start start)
    : markers_(std::move(markers)),
      state_(start == Start::kReasoning ? State::kReasoning : State::kContent) {}

std::vector<Event> OutputParser::push(int32_t id, std::string_view piece) {
  std::vector<Event> events;
  take_text(piece, events);
  if (id == markers_.quote) take_text("<|\"|>", events);
  if (ended()) return events;

  if (markers_.is_stop(id)) {
    end(events);
  } else if (id == markers_.channel_open) {
    finish_label(events);
    state_ = State::kLabel;
  } else if (id == markers_.channel_close) {
    finish_label(events);
    state_ = State::kContent;
  }
  return events;
}

std::vector<Event> OutputParser::finish() {
  std::vector<Event> events;
  end(events);
  return events;
}

void OutputParser::take_text(std::string_view text, std::vector<Event>& events) {
  if (text.empty()) return;
  switch (state_) {
    case State::kContent:
      // Trailing whitespace matters only before a tool call, so none is withheld here.
      emit(events, Event::Kind::kContent, text);
      break;
    case State::kLabel:
      take_label(text, events);
      break;
    case State::kReasoning:
      take_reasoning(text, events);
      break;
    case State::kEnded:
      break;
  }
}

void OutputParser::take_label(std::string_view text, std::vector<Event>& events) {
  label_ += text;
  if (kThoughtLabel.starts_with(label_) && label_.size() < kThoughtLabel.size()) return;
  std::string_view reasoning = label_;
  if (reasoning.starts_with(kThoughtLabel)) reasoning.remove_prefix(kThoughtLabel.size());
  take_reasoning(reasoning, events);
  label_.clear();
  state_ = State::kReasoning;
}

void OutputParser::take_reasoning(std::string_view text, std::vector<Event>& events) {
  const size_t last = text.find_last_not_of(kWhitespace);
  if (last == std::string_view::npos) {
    held_ += text;
    return;
  }
  emit(events, Event::Kind::kReasoning, held_);
  emit(events, Event::Kind::kReasoning, text.substr(0, last + 1));
  held_ = text.substr(last + 1);
}

// What stands between <|channel> and the next marker and is neither empty nor the label itself was
// reasoning. Outside kLabel the buffer is empty.
void OutputParser::finish_label(std::vector<Event>& events) {
  if (label_ != "thought") take_reasoning(label_, events);
  label_.clear();
}

void OutputParser::end(std::vector<Event>& events) {
  if (ended()) return;
  finish_label(events);
  state_ = State::kEnded;
  events.push_back({Event::Kind::kEnd, ""});
}

}  // namespace gemma4::chat
