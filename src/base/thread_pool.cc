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

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <typename T>
void wait_while_equal(std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_cpu();
  }
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
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(const Loop& loop) {
  if (loop.count <= 0) return;
  if (workers_.empty() || loop.count <= loop.grain) {
    for (int64_t begin = 0; begin < loop.count; begin += loop.grain)
      loop.body(loop.context, begin, std::min(begin + loop.grain, loop.count));
    return;
  }
  loop_ = loop;
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int32_t>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  work();
  for (int32_t left = running_.load(std::memory_order_acquire); left != 0;
       left = running_.load(std::memory_order_acquire))
    wait_while_equal(running_, left);
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
    wait_while_equal(epoch_, seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    work();
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace gemma4
