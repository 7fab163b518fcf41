// A conversation with a model: renders the history, runs the engine, reads the output. The engine's
// prefix cache knows the turns before. One answer at a time, on the calling thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "answer/answer_form.h"
#include "answer/answer_reader.h"
#include "answer/media_reader.h"
#include "answer/prompt.h"
#include "apps/model_source.h"
#include "apps/options.h"
#include "base/result.h"
#include "chat/chat_format.h"
#include "chat/output_parser.h"
#include "engine/engine.h"

namespace gemma4::apps {

using answer::AnswerForm;
using answer::AnswerReader;
using answer::AnswerSink;
using answer::AnswerStart;
using answer::FilmOptions;
using answer::MediaReader;
using answer::PreparedMedia;
using answer::Prompt;
using answer::Reading;

struct AnswerStats {
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;      // of the prompt, from the cache
  int64_t completion_tokens = 0;  // the stop token counted out
  double prompt_seconds = 0;      // until the first token (ttft)
  double generate_seconds = 0;    // after it
  int64_t num_answers = 1;        // that these numbers are of

  double tokens_per_second() const;
  // Joined with those of the answer that followed: all add up, but prompt_seconds is the first's.
  AnswerStats& operator+=(const AnswerStats& next);
};

struct Answer {
  chat::Message message;  // an assistant's; its calls have ids
  engine::FinishReason finish = engine::FinishReason::kStop;
  std::optional<Error> error;  // with kError: why the answer does not have the form it must have
  AnswerStats stats;
};
// As the OpenAI API has it: "stop", "length", "tool_calls"; "cancelled" and "error" besides.
std::string_view finish_reason(const Answer& answer);

// Asked before every step; true stops the answer.
using StopQuestion = std::function<bool()>;

class Conversation {
 public:
  // Loads the model and starts the engine.
  static Result<std::unique_ptr<Conversation>> create(ConversationArguments arguments);

  // A picture for the next question, before its text and after those attached already. Errors:
  // those of MediaReader::image.
  Result<PreparedMedia> attach_image(const std::string& source, int64_t budget);
  // The same of a sound, and of a film; its sound track comes after the text.
  Result<PreparedMedia> attach_audio(const std::string& source);
  Result<std::vector<PreparedMedia>> attach_video(const std::string& source,
                                                  const FilmOptions& options);
  // Asks `text` after everything said so far and streams the answer. Question and answer join the
  // history, also when the answer was stopped or broke off; after an error the history is as
  // before, and what was attached still is.
  Result<Answer> ask(const std::string& text, const AnswerSink& sink, const StopQuestion& stop);
  // Gives the results of the last answer's calls, one for each in its order, and streams what the
  // model makes of them. History as with ask().
  Result<Answer> answer_calls(const std::vector<std::string>& results, const AnswerSink& sink,
                              const StopQuestion& stop);
  // Calls of the last answer that have no results yet.
  const std::vector<chat::ToolCall>& open_calls() const;
  // Gives results to the open calls without asking the model, so that a question may follow:
  // `results` to the first of them, `rest` to the others.
  void close_calls(const std::vector<std::string>& results, const std::string& rest);
  // Continues `prompt` as raw text, without the chat format and the history; of the form, what is
  // said about the content holds.
  Result<Answer> complete(const std::string& prompt, const AnswerSink& sink,
                          const StopQuestion& stop);

  void set_system(std::string text);  // empty: none
  void set_thinking(bool on) { thinking_ = on; }
  bool thinking() const { return thinking_; }
  void clear();  // forgets the turns and what was attached, keeps the system text
  const std::vector<chat::Message>& messages() const { return messages_; }
  const engine::Engine& engine() const { return *engine_; }
  const LoadedModel& model() const { return model_; }
  const MediaReader& media_reader() const { return media_reader_; }
  // With the seed of the last answer.
  const engine::SamplingParams& sampling() const { return sampling_; }

 private:
  Conversation(LoadedModel model, std::unique_ptr<engine::Engine> engine,
               engine::SamplingParams sampling, const ConversationArguments& arguments,
               chat::Markers markers, AnswerForm form);
  // `media` are those of all messages.
  Result<Answer> respond(std::vector<chat::Message> messages, std::vector<PreparedMedia> media,
                         const AnswerSink& sink, const StopQuestion& stop);
  Result<Answer> generate(Prompt prompt, std::shared_ptr<TokenConstraint> constraint,
                          AnswerReader& reader, const StopQuestion& stop);

  LoadedModel model_;
  std::unique_ptr<engine::Engine> engine_;
  engine::SamplingParams sampling_;
  bool fixed_seed_;
  int64_t max_tokens_;
  std::vector<std::string> stop_strings_;
  chat::Markers markers_;
  AnswerForm form_;
  std::vector<chat::Message> messages_;
  MediaReader media_reader_;
  std::vector<PreparedMedia> media_;     // of the messages
  std::vector<PreparedMedia> attached_;  // to the next question
  bool thinking_ = false;
  int64_t num_calls_ = 0;  // so far, for their ids
};

}  // namespace gemma4::apps
