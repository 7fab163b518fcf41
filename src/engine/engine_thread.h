// An engine and the thread that steps it, for servers: requests come from any thread, events go to
// each request's own sink. All functions may be called from any thread.
//
//   G4_ASSIGN_OR_RETURN(auto thread, EngineThread::create(model, {.max_sequences = 16}));
//   G4_ASSIGN_OR_RETURN(auto id, thread->submit({.prompt = ids}, [](const Event& event) { … }));
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace gemma4::engine {

class EngineThread {
 public:
  // Called on the engine's thread, in order; exactly one event has a finish, and it is the last. It
  // must not block, since every request waits for it, nor call submit(). The first event may come
  // before submit() has returned.
  using Sink = std::function<void(const Event&)>;

  // Errors: those of Engine::create.
  static Result<std::unique_ptr<EngineThread>> create(std::shared_ptr<const model::Model> model,
                                                      const EngineOptions& options);
  // Cancels everything, lets every sink have its last event, and joins. No other call may be under
  // way.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  // Returns between two steps. Errors: those of Engine::submit, and kUnavailable after the device
  // has failed; the sink of a refused request gets nothing.
  Result<SequenceId> submit(Request request, Sink sink);
  // The last event comes with the next step. Unknown and ended requests are left alone.
  void cancel(SequenceId id);
  // All of them, and whatever is submitted from now on is refused with kUnavailable.
  void cancel_all();

  using Stats = Engine::Stats;  // as of the last step, and what was submitted since
  Stats stats() const;
  // For what does not change: options, model, memory plan.
  const Engine& engine() const { return *engine_; }

 private:
  // On the stack of the thread that submits, which waits for `id`
  struct Submission {
    Request request;
    Sink sink;
    std::optional<Result<SequenceId>> id = {};
  };
  EngineThread() = default;
  void run(const std::shared_ptr<const model::Model>& model, const EngineOptions& options);
  bool is_idle() const;  // under the mutex
  bool take_mail();
  Status step();
  void deliver(std::span<const Event> events);
  void finish_all();
  void fail_all(const Error& error);

  mutable std::mutex mutex_;
  std::condition_variable wake_;      // the engine's thread
  std::condition_variable answered_;  // those who submit, and create()
  // Guarded by the mutex
  std::deque<Submission*> submissions_;
  std::vector<SequenceId> cancels_;
  bool stopping_ = false;
  bool takes_no_more_ = false;
  std::optional<Status> started_;
  std::optional<Error> failure_;  // of the device
  Stats stats_;

  std::unique_ptr<Engine> engine_;    // the thread's own, but for what does not change
  std::map<SequenceId, Sink> sinks_;  // the thread's own
  std::thread thread_;
};

}  // namespace gemma4::engine
