#include "engine/engine_thread.h"

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

void EngineThread::cancel_all() {
  {
    const std::lock_guard lock(mutex_);
    takes_no_more_ = true;
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
    started_ = engine.ok() ? Status() : Status(engine.error());
    if (engine.ok()) engine_ = std::move(engine).value();
  }
  answered_.notify_all();
  if (engine_ == nullptr) return;
  while (take_mail()) {
    const Status status = step();
    if (!status.ok()) return fail_all(status.error());
  }
  finish_all();
}

bool EngineThread::is_idle() const {
  return !stopping_ && submissions_.empty() && cancels_.empty() && !engine_->has_work();
}

// Waits for something to do and hands the engine what came in; false: stop.
bool EngineThread::take_mail() {
  std::unique_lock lock(mutex_);
  while (is_idle()) {  // time to save what was computed
    lock.unlock();
    const bool saved = engine_->archive_one();
    lock.lock();
    if (!saved) break;
  }
  wake_.wait(lock, [&] {
    return stopping_ || !submissions_.empty() || !cancels_.empty() || engine_->has_work();
  });
  if (stopping_) return false;
  for (Submission* const submission : submissions_) {
    if (takes_no_more_) {
      submission->id = Error{ErrorCode::kUnavailable, "the server is shutting down"};
      continue;
    }
    submission->id = engine_->submit(std::move(submission->request));
    if (!submission->id->ok()) continue;
    sinks_[submission->id->value()] = std::move(submission->sink);
  }
  if (!submissions_.empty()) {
    stats_ = engine_->stats();
    answered_.notify_all();
  }
  submissions_.clear();
  for (const SequenceId id : cancels_) engine_->cancel(id);
  cancels_.clear();
  if (takes_no_more_)
    for (const auto& [id, sink] : sinks_) engine_->cancel(id);
  return true;
}

// Counts first: who has seen the last event of a request finds it counted.
Status EngineThread::step() {
  if (!engine_->has_work()) return {};
  G4_ASSIGN_OR_RETURN(const std::vector<Event> events, engine_->step());
  {
    const std::lock_guard lock(mutex_);
    stats_ = engine_->stats();
  }
  deliver(events);
  return {};
}

void EngineThread::deliver(std::span<const Event> events) {
  for (const Event& event : events) {
    const auto sink = sinks_.find(event.sequence);
    if (sink->second) sink->second(event);
    if (event.finish) sinks_.erase(sink);
  }
}

void EngineThread::finish_all() {
  for (const auto& [id, sink] : sinks_) engine_->cancel(id);
  const Status status = step();  // nothing is left to run in it
  if (!status.ok()) return fail_all(status.error());
  while (engine_->archive_one()) {
  }
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
  for (const auto& [id, sink] : sinks_)
    events.push_back({.sequence = id, .finish = FinishReason::kError, .error = *failure_});
  deliver(events);
}

}  // namespace gemma4::engine
