// Generated ids to an answer: detokenizer, then channels and calls, then stop strings on the
// visible content.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "answer/loaded_model.h"
#include "chat/answer.h"
#include "chat/output_parser.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"

namespace gemma4::answer {

// Called for every event of an answer as it comes, kEnd left out.
using AnswerSink = std::function<void(const chat::Event& event)>;

enum class Reading {
  kChat,  // channels and calls are told apart
  kRaw,   // all text is content, control tokens included
};

class AnswerReader {
 public:
  AnswerReader(const LoadedModel& model, const chat::Markers& markers, Reading reading,
               chat::ParserOptions options, const std::vector<std::string>& stops,
               const AnswerSink& sink);

  // True when a stop string ended the answer.
  bool push(int32_t id);
  // No more ids come.
  void finish();

  // The assistant's message as far as it has come: content a string (null beside calls), reasoning,
  // calls without ids.
  chat::Message message() const { return answer_.message(); }
  // The stop string that ended the answer; empty when none did.
  const std::string& stop_string() const { return stops_.found(); }

 private:
  void show(const std::vector<chat::Event>& events);
  void release(std::string text);
  void pass_on(const chat::Event& event);

  text::Detokenizer detokenizer_;
  const chat::Markers& markers_;
  chat::OutputParser parser_;
  const Reading reading_;
  text::StopMatcher stops_;
  const AnswerSink& sink_;
  chat::AnswerBuilder answer_;
};

}  // namespace gemma4::answer
