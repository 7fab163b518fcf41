#include "serve/model_slot.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/strings.h"
#include "serve/log.h"

namespace gemma4::serve {

using Clock = std::chrono::steady_clock;

namespace {

int64_t milliseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

// The allocator keeps what was freed for the next who asks; here the next may come in hours.
void give_back_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

void log_time(const char* event, const std::string& model, Clock::time_point start) {
  log_line(LogLevel::kInfo,
           {{"event", event}, {"model", model}, {"ms", milliseconds_since(start)}});
}

// That memory runs out while a model is loaded ends nothing but that.
Result<std::unique_ptr<ServedModel>> load_or_catch(const ModelSlot::IdleUnload& unload) {
  try {
    return unload.load();
  } catch (const std::exception& error) {
    return Error{ErrorCode::kResourceExhausted, error.what()};
  }
}

Result<std::unique_ptr<ServedModel>> load_with(const ModelSlot::IdleUnload& unload,
                                               const std::string& name) {
  const auto start = Clock::now();
  auto loaded = load_or_catch(unload);
  if (loaded.ok())
    log_time("model_loaded", name, start);
  else
    log_line(LogLevel::kError, {{"event", "model_load_failed"},
                                {"model", name},
                                {"ms", milliseconds_since(start)},
                                {"message", loaded.error().message}});
  return loaded;
}

void add_counts(TokenSource::Stats& to, const TokenSource::Stats& from) {
  to.steps += from.steps;
  to.prompt_tokens += from.prompt_tokens;
  to.cached_prompt_tokens += from.cached_prompt_tokens;
  to.computed_tokens += from.computed_tokens;
  to.generated_tokens += from.generated_tokens;
  to.step_seconds_total += from.step_seconds_total;
}

}  // namespace

struct ModelSlot::State {
  struct Waiting {
    std::optional<KeepAlive> keep;
    Taker then;
  };

  mutable std::mutex mutex;
  std::condition_variable changed;  // the keeper waits for it
  // All else is guarded by the mutex.
  bool can_unload = false;             // does not change
  std::unique_ptr<ServedModel> model;  // null: not loaded, or on its way in or out
  int64_t num_leases = 0;
  Clock::time_point last_used = Clock::now();
  KeepAlive keep = kForever;     // since then
  std::vector<Waiting> waiting;  // for the model, while it is null
  bool is_loading = false;
  bool has_ended = false;     // nobody gets the model any more
  bool is_closing = false;    // the keeper has to go
  TokenSource::Stats before;  // counts of the models that were given back
  int64_t loads = 0, unloads = 0, failed_loads = 0;

  bool is_idle() const { return model != nullptr && num_leases == 0; }
  // Counts a lease on the model.
  ServedModel* take(std::optional<KeepAlive> asked) {
    if (asked && can_unload) keep = *asked;
    ++num_leases;
    return model.get();
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    if (--num_leases > 0) return;
    last_used = Clock::now();
    changed.notify_one();
  }

  // What the keeper does, which lets go of the lock.
  void load(std::unique_lock<std::mutex>& lock, const ModelSlot& slot);
  void unload(std::unique_lock<std::mutex>& lock, const ModelSlot& slot);
};

void ModelSlot::State::load(std::unique_lock<std::mutex>& lock, const ModelSlot& slot) {
  is_loading = true;
  lock.unlock();
  auto loaded = load_with(*slot.unload_, slot.name());
  lock.lock();
  is_loading = false;
  const std::vector<Waiting> waited = std::exchange(waiting, {});
  if (loaded.ok()) {
    ++loads;
    model = std::move(loaded).value();
    last_used = Clock::now();
    keep = slot.unload_->after;
    for (const Waiting& one : waited) take(one.keep);
  } else {
    ++failed_loads;
  }
  ServedModel* const made = model.get();
  lock.unlock();
  for (const Waiting& one : waited) {
    if (made != nullptr)
      one.then(slot.lease_of(made));
    else
      one.then(Error{ErrorCode::kUnavailable,
                     str_cat("the model ", quote(slot.name()),
                             " cannot be loaded now, the server's log says why; try again later")});
  }
}

void ModelSlot::State::unload(std::unique_lock<std::mutex>& lock, const ModelSlot& slot) {
  add_counts(before, model->source().stats());
  ++unloads;
  std::unique_ptr<ServedModel> old = std::move(model);
  lock.unlock();
  const auto start = Clock::now();
  old.reset();  // its engine saves what it has to save
  give_back_freed_memory();
  log_time("model_unloaded", slot.name(), start);
}

ModelSlot::ModelSlot(std::unique_ptr<ServedModel> model, std::optional<IdleUnload> unload)
    : facts_(model->facts()), unload_(std::move(unload)), state_(std::make_shared<State>()) {
  state_->model = std::move(model);
  if (!unload_) return;
  state_->can_unload = true;
  state_->keep = unload_->after;
  keeper_ = std::thread([this] { run(); });
}

ModelSlot::~ModelSlot() {
  if (!close()) finish();
}

void ModelSlot::run() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  while (!state.is_closing) {
    if (!state.waiting.empty()) {
      state.load(lock, *this);
      lock.lock();
    } else if (!state.is_idle()) {
      state.changed.wait(lock);
    } else if (const auto end = state.last_used + state.keep; Clock::now() < end) {
      state.changed.wait_until(lock, end);
    } else {
      state.unload(lock, *this);
      lock.lock();
    }
  }
}

ModelLease ModelSlot::lease_of(ServedModel* model) const {
  return {model, [state = state_](ServedModel*) { state->let_go(); }};
}

ModelLease ModelSlot::lease(std::optional<KeepAlive> keep) {
  ServedModel* model = nullptr;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->model == nullptr || state_->has_ended) return nullptr;
    model = state_->take(keep);
  }
  return lease_of(model);
}

void ModelSlot::load(std::optional<KeepAlive> keep, Taker then) {
  ServedModel* model = nullptr;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->has_ended && state_->model == nullptr) {
      state_->waiting.push_back({keep, std::move(then)});
      state_->changed.notify_one();
      return;
    }
    if (!state_->has_ended) model = state_->take(keep);
  }
  if (model != nullptr) return then(lease_of(model));
  then(Error{ErrorCode::kUnavailable, "the server is shutting down"});
}

void ModelSlot::expire() {
  const std::lock_guard lock(state_->mutex);
  if (state_->model == nullptr || !unload_) return;
  state_->keep = KeepAlive(0);
  state_->changed.notify_one();
}

std::optional<KeepAlive> ModelSlot::remaining() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->model == nullptr) return std::nullopt;
  if (!state_->is_idle()) return state_->keep;
  const auto end = state_->last_used + state_->keep;
  return std::max(KeepAlive(0), std::chrono::duration_cast<KeepAlive>(end - Clock::now()));
}

ModelSlot::Stats ModelSlot::stats() const {
  const std::lock_guard lock(state_->mutex);
  Stats stats;
  if (state_->model != nullptr)
    static_cast<TokenSource::Stats&>(stats) = state_->model->source().stats();
  else
    stats.waiting = std::ssize(state_->waiting);
  add_counts(stats, state_->before);
  stats.is_loaded = state_->model != nullptr;
  stats.loads = state_->loads;
  stats.unloads = state_->unloads;
  stats.failed_loads = state_->failed_loads;
  return stats;
}

void ModelSlot::end() {
  std::vector<State::Waiting> waited;
  {
    const std::lock_guard lock(state_->mutex);
    state_->has_ended = true;
    waited = std::exchange(state_->waiting, {});
    if (state_->model != nullptr) state_->model->source().cancel_all();
  }
  for (const State::Waiting& one : waited)
    one.then(Error{ErrorCode::kUnavailable, "the server is shutting down"});
}

bool ModelSlot::close() {
  end();
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_closing = true;
    state_->changed.notify_one();
    if (state_->is_loading) return false;
  }
  finish();
  return true;
}

void ModelSlot::finish() {
  if (keeper_.joinable()) keeper_.join();
  // Goes outside of the lock: its engine ends answers, which let go of their leases.
  std::unique_ptr<ServedModel> old;
  const std::lock_guard lock(state_->mutex);
  old = std::move(state_->model);
}

}  // namespace gemma4::serve
