#include "engine/engine_thread.h"

#include <chrono>
#include <utility>

namespace gemma4::engine {

Result<std::unique_ptr<EngineThread>> EngineThread::create(
    std::shared_ptr<const model::Model> model, const EngineOptions& options) {
  std::unique_ptr<EngineThread> self(new EngineThread);
  self->thread_ = std::thread(
      [&thread = *self, model = std::move(model), options] { thread.run(model, options); });
  Status started;
  {
    std::unique_lock lock(self->mutex_);
    self->answered_.wait(lock, [&] { return self->started_.has_value(); });
    started = *self->started_;
  }
  if (!started.ok()) return started.error();  // the destructor joins
  return self;
}

EngineThread::~EngineThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Result<SequenceId> EngineThread::submit(Request request, Sink sink) {
  Submission own{std::move(request), std::move(sink)};
  std::unique_lock lock(mutex_);
  if (failure_) return *failure_;
  submissions_.push_back(&own);
  wake_.notify_one();
  answered_.wait(lock, [&] { return own.id.has_value(); });
  return *std::move(own.id);
}

void EngineThread::cancel(SequenceId id) {
  {
    const std::lock_guard lock(mutex_);
    cancels_.push_back(id);
  }
  wake_.notify_one();
}

EngineThread::Stats EngineThread::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// The engine is made on the thread that steps it: its pool binds that thread to a CPU, and what a
// bound thread starts would inherit that.
void EngineThread::run(const std::shared_ptr<const model::Model>& model,
                       const EngineOptions& options) {
  auto engine = Engine::create(model, options);
  {
    const std::lock_guard lock(mutex_);
    if (engine.ok()) engine_ = std::move(engine).value();
    started_ = engine.ok() ? Status() : Status(engine.error());
  }
  answered_.notify_all();
  if (engine_ == nullptr) return;
  while (take_mail()) {
    const Status status = step();
    if (!status.ok()) return fail_all(status.error());
  }
  finish_all();
}

// Waits for something to do and hands the engine what came in; false: stop.
bool EngineThread::take_mail() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] {
    return stopping_ || !submissions_.empty() || !cancels_.empty() || engine_->has_work();
  });
  if (stopping_) return false;
  for (Submission* const submission : submissions_) {
    const auto prompt_tokens = static_cast<int64_t>(submission->request.prompt.size());
    submission->id = engine_->submit(std::move(submission->request));
    if (!submission->id->ok()) continue;
    clients_[submission->id->value()] = {std::move(submission->sink), prompt_tokens};
    ++stats_.waiting;
  }
  if (!submissions_.empty()) answered_.notify_all();
  submissions_.clear();
  for (const SequenceId id : cancels_) engine_->cancel(id);
  cancels_.clear();
  return true;
}

Status EngineThread::step() {
  if (!engine_->has_work()) return {};
  const auto start = std::chrono::steady_clock::now();
  G4_ASSIGN_OR_RETURN(const std::vector<Event> events, engine_->step());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  {
    const std::lock_guard lock(mutex_);
    ++stats_.steps;
    stats_.step_seconds_total += seconds.count();
  }
  deliver(events);
  return {};
}

// Counts first: who has seen the last event of a request finds it counted.
void EngineThread::deliver(std::span<const Event> events) {
  {
    const std::lock_guard lock(mutex_);
    for (const Event& event : events) {
      Client& client = clients_.at(event.sequence);
      if (event.token) {
        ++stats_.generated_tokens;
        if (!std::exchange(client.has_token, true)) {
          --stats_.waiting;
          ++stats_.running;
          stats_.prompt_tokens += client.prompt_tokens;
        }
      }
      if (event.finish) --(client.has_token ? stats_.running : stats_.waiting);
    }
  }
  for (const Event& event : events) {
    const auto client = clients_.find(event.sequence);
    if (client->second.sink) client->second.sink(event);
    if (event.finish) clients_.erase(client);
  }
}

void EngineThread::finish_all() {
  for (const auto& [id, client] : clients_) engine_->cancel(id);
  const auto events = engine_->step();  // nothing is left to run in it
  if (!events.ok()) return fail_all(events.error());
  deliver(events.value());
}

void EngineThread::fail_all(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    failure_ = Error{ErrorCode::kUnavailable, error.message};
    for (Submission* const submission : submissions_) submission->id = *failure_;
    submissions_.clear();
  }
  answered_.notify_all();
  std::vector<Event> events;
  for (const auto& [id, client] : clients_)
    events.push_back({id, std::nullopt, FinishReason::kError, *failure_});
  deliver(events);
}

}  // namespace gemma4::engine
