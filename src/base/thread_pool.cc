#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <system_error>

#include "base/check.h"
#include "base/topology.h"

namespace gemma4 {
namespace {

// How often a waiting thread looks before it sleeps. A few microseconds: long enough to bridge the
// gap between two kernels of one step, short enough not to burn a CPU that others could use.
constexpr int kSpins = 2000;

// Of ThreadPool::state_
constexpr uint32_t kInside = (1u << 12) - 1;  // workers in the loop
constexpr uint32_t kOpen = 1u << 12;
constexpr uint32_t kLoop = 1u << 13;  // one more loop; the bits above count them, modulo 2^19
constexpr uint32_t number_of(uint32_t state) { return state & ~(kLoop - 1); }

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// `same` is of values that are as good as `old`.
template <typename Same>
void wait_while(std::atomic<uint32_t>& value, Same&& same) {
  for (int i = 0; i < kSpins; ++i) {
    if (!same(value.load(std::memory_order_acquire))) return;
    pause_cpu();
  }
  for (uint32_t old = value.load(std::memory_order_acquire); same(old);
       old = value.load(std::memory_order_acquire))
    value.wait(old, std::memory_order_acquire);
}

const CpuOrder& allowed_cpus() {
  // Read once: pinning the caller would otherwise shrink what a later pool sees.
  static const CpuOrder order = [] {
    std::vector<int> allowed;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
      for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) allowed.push_back(cpu);
    return order_cpus(allowed);
  }();
  return order;
}

void pin(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread, sizeof set, &set);  // best effort: a refusal only costs speed
}

}  // namespace

int ThreadPool::available_cores() { return std::max(1, allowed_cpus().cores); }

ThreadPool::ThreadPool(int num_threads, Pinning pinning) {
  G4_CHECK_LE(1, num_threads);
  num_threads = std::min(num_threads, static_cast<int>(kInside));
  const std::vector<int>& cpus = allowed_cpus().cpus;
  try {
    for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this] { worker_main(); });
  } catch (const std::system_error&) {
    // The system gives no more threads. Results do not depend on their number: go on with these.
    num_threads = this->num_threads();
  }
  if (pinning == Pinning::kOneCpuEach && num_threads <= static_cast<int>(cpus.size())) {
    pin(pthread_self(), cpus[0]);
    for (int i = 1; i < num_threads; ++i) pin(workers_[i - 1].native_handle(), cpus[i]);
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  state_.fetch_add(kLoop, std::memory_order_release);
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(const Loop& loop) {
  if (loop.count <= 0) return;
  if (workers_.empty() || loop.count <= loop.grain) {
    for (int64_t begin = 0; begin < loop.count; begin += loop.grain)
      loop.body(loop.context, begin, std::min(begin + loop.grain, loop.count));
    return;
  }
  loop_ = loop;  // nobody is in a loop between two of them
  next_.store(0, std::memory_order_relaxed);
  state_.store(number_of(state_.load(std::memory_order_relaxed) + kLoop) | kOpen,
               std::memory_order_release);
  state_.notify_all();
  work();
  uint32_t seen = emptied_.load(std::memory_order_relaxed);
  if ((state_.fetch_and(~kOpen, std::memory_order_acq_rel) & kInside) == 0) return;
  while ((state_.load(std::memory_order_acquire) & kInside) != 0) {
    wait_while(emptied_, [&](uint32_t value) { return value == seen; });
    seen = emptied_.load(std::memory_order_acquire);
  }
}

// Joins the loop of now, whose number goes to `seen`; false when it is over already.
bool ThreadPool::join(uint32_t& seen) {
  uint32_t state = state_.load(std::memory_order_acquire);
  while ((state & kOpen) != 0)
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      seen = number_of(state);
      return true;
    }
  seen = number_of(state);
  return false;
}

void ThreadPool::leave() {
  const uint32_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
  if ((before & (kOpen | kInside)) != 1) return;
  emptied_.fetch_add(1, std::memory_order_release);
  emptied_.notify_one();
}

// Threads take runs of pieces that get shorter as less is left: long ones read memory in order, the
// last ones even out who was disturbed.
void ThreadPool::work() {
  const int64_t shares = 2 * num_threads() * loop_.grain;
  for (;;) {
    const int64_t left = loop_.count - next_.load(std::memory_order_relaxed);
    if (left <= 0) return;
    const int64_t run = std::max<int64_t>(1, left / shares) * loop_.grain;
    int64_t begin = next_.fetch_add(run, std::memory_order_relaxed);
    for (const int64_t end = std::min(begin + run, loop_.count); begin < end; begin += loop_.grain)
      loop_.body(loop_.context, begin, std::min(begin + loop_.grain, loop_.count));
  }
}

void ThreadPool::worker_main() {
  uint32_t seen = 0;
  for (;;) {
    wait_while(state_, [&](uint32_t state) { return number_of(state) == seen; });
    const bool joined = join(seen);
    // Behind join(), which saw the number: whoever has seen the destructor's stops, and only they
    // may wait for another one.
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!joined) continue;
    work();
    leave();
  }
}

}  // namespace gemma4
