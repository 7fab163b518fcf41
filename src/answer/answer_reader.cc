#include "answer/answer_reader.h"

#include <utility>

namespace gemma4::answer {

using Kind = chat::Event::Kind;

AnswerReader::AnswerReader(const LoadedModel& model, const chat::Markers& markers, Reading reading,
                           chat::ParserOptions options, const std::vector<std::string>& stops,
                           const AnswerSink& sink)
    : detokenizer_(*model.tokenizer, reading == Reading::kChat ? text::SpecialTokens::kSkip
                                                               : text::SpecialTokens::kKeep),
      markers_(markers),
      parser_(markers, std::move(options)),
      reading_(reading),
      stops_(stops),
      sink_(sink) {}

bool AnswerReader::push(int32_t id) {
  if (reading_ == Reading::kChat)
    show(parser_.push(id, markers_.is_stop(id) ? detokenizer_.finish() : detokenizer_.push(id)));
  else if (!markers_.is_stop(id))
    release(stops_.push(detokenizer_.push(id)));
  return stops_.matched();
}

void AnswerReader::finish() {
  if (reading_ == Reading::kRaw) {
    release(stops_.push(detokenizer_.finish()));
  } else if (!parser_.ended()) {
    if (const std::string rest = detokenizer_.finish(); !rest.empty()) show(parser_.push(-1, rest));
    show(parser_.finish());
  }
  release(stops_.finish());
}

void AnswerReader::show(const std::vector<chat::Event>& events) {
  for (const chat::Event& event : events) {
    if (event.kind == Kind::kContent) {
      release(stops_.push(event.text));
    } else if (event.kind != Kind::kEnd) {
      // A stop string does not reach across a call: what it withholds comes before.
      if (event.kind == Kind::kCallStarted) release(stops_.finish());
      pass_on(event);
    }
  }
}

void AnswerReader::release(std::string text) {
  if (!text.empty()) pass_on({.kind = Kind::kContent, .text = std::move(text)});
}

void AnswerReader::pass_on(const chat::Event& event) {
  answer_.add({event});
  if (sink_) sink_(event);
}

}  // namespace gemma4::answer
