// One request from its messages to its ending: prompt, constraint, sequences, and their tokens as
// typed events.
//
//   // On a worker:
//   G4_ASSIGN_OR_RETURN(auto run, AnswerRun::prepare(lease, request, metrics, now));
//   run->start(post, {.begin = …, .event = …, .end = …, .fail = …});
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "answer/answer_reader.h"
#include "answer/prompt.h"
#include "base/result.h"
#include "serve/answer_event.h"
#include "serve/chat_request.h"
#include "serve/metrics.h"
#include "serve/model_slot.h"
#include "serve/served_model.h"

namespace gemma4::serve {

class AnswerRun : public std::enable_shared_from_this<AnswerRun> {
 public:
  using Clock = std::chrono::steady_clock;
  // Runs work soon, never two at a time.
  using Post = std::function<void(std::function<void()>)>;
  struct Listener {
    std::function<void()> begin;  // everything was taken; comes before the events
    std::function<void(const AnswerEvent&)> event;
    // Exactly one of these, last; nothing after cancel().
    std::function<void(const Usage&)> end;
    std::function<void(const Error&)> fail;
  };

  // Reads media, renders and encodes the prompt, compiles what constrains the answer. Takes its
  // time; any thread. Errors name the field. `metrics` must outlive the run; `arrival` is when the
  // request came.
  static Result<std::shared_ptr<AnswerRun>> prepare(ModelLease model, ChatRequest request,
                                                    Metrics& metrics, Clock::time_point arrival);

  // What is wrong if a prompt leaves no room in the context; has its numbers.
  std::optional<Error> too_long() const;
  int64_t prompt_tokens() const;
  int num_choices() const { return static_cast<int>(prompts_.size()) * request_.n; }
  const ChatRequest& request() const { return request_; }
  const ServedModel& model() const { return *model_; }

  // Submits all sequences, which may wait for the engine's step; any thread. The listener is called
  // through `post`, but not at all after an error.
  Status start(const Post& post, Listener listener);
  // Nobody waits for the answer any more. Called where `post` runs its work, after start().
  void cancel();

 private:
  struct Prepared {
    answer::Prompt prompt;
    answer::AnswerStart start;
    std::string echo;
  };
  struct Choice;
  AnswerRun(ModelLease model, ChatRequest request, Metrics& metrics, Clock::time_point arrival);
  Status prepare_chat();
  Status prepare_conversation(std::vector<chat::Message>& messages);
  Status prepare_raw();
  engine::Request engine_request(const Prepared& prepared, int choice) const;
  std::unique_ptr<Choice> make_choice(const Prepared& prepared, int index);
  const Prepared& prompt_of(int choice) const {
    return prompts_[static_cast<size_t>(choice / request_.n)];
  }
  // All that follows runs through `post`.
  void submitted(size_t index, engine::SequenceId id);
  void open();
  void receive(size_t index, const engine::Event& event);
  void give_up();
  void take(size_t index, const engine::Event& event);
  void take_token(Choice& choice, const engine::SampledToken& token);
  void pass_on(Choice& choice, const chat::Event& event);
  void finish_choice(Choice& choice, engine::FinishReason reason);
  void cancel_sequences();
  void end();

  const ModelLease model_;  // the first: the rest may refer to the model
  ChatRequest request_;
  Metrics& metrics_;
  const Clock::time_point arrival_;
  std::optional<Clock::time_point> started_, first_token_;
  std::vector<Prepared> prompts_;
  answer::AnswerForm form_;
  std::vector<std::unique_ptr<Choice>> choices_;
  Listener listener_;
  Usage usage_;
  std::vector<std::pair<size_t, engine::Event>> early_;  // that came before all were submitted
  size_t num_ended_ = 0;
  bool is_open_ = false;
  bool is_over_ = false;
};

}  // namespace gemma4::serve
