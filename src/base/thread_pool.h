// A fixed set of threads that run data-parallel loops. One loop at a time, called by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace gemma4 {

class ThreadPool {
 public:
  enum class Pinning { kNone, kOneCpuEach };

  // `num_threads` >= 1 counts the calling thread. With kOneCpuEach every thread, the caller
  // included, is bound to one CPU of the process's set, if there are enough of them, and each to a
  // core of its own as long as there are cores. Fewer threads than asked for when the system gives
  // no more.
  explicit ThreadPool(int num_threads, Pinning pinning = Pinning::kNone);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) on pieces of [0, count), each `grain` long (the last may be shorter),
  // and returns when all are done; a thread does several in a row while many are left, so that
  // small pieces cost little. Pieces are fixed by `count` and `grain` alone, so results do not
  // depend on the number of threads. Not reentrant.
  template <typename Body>
  void parallel_for(int64_t count, int64_t grain, Body&& body) {
    run({count, grain < 1 ? 1 : grain,
         [](void* context, int64_t begin, int64_t end) {
           (*static_cast<std::remove_reference_t<Body>*>(context))(begin, end);
         },
         const_cast<void*>(static_cast<const void*>(&body))});
  }

  // Physical cores this process may use: two hardware threads of one would share its vector units.
  static int available_cores();

 private:
  struct Loop {
    int64_t count = 0;
    int64_t grain = 1;
    void (*body)(void*, int64_t, int64_t) = nullptr;
    void* context = nullptr;
  };
  void run(const Loop& loop);
  bool join(uint32_t& seen);
  void leave();
  void work();
  void worker_main();

  std::vector<std::thread> workers_;
  Loop loop_;
  // The number of the loop, whether workers may still join it, and how many are in it: one word, so
  // that a loop is over when its pieces are done and those who joined have left. Whoever has no CPU
  // at that moment misses it, and nobody waits for them.
  alignas(64) std::atomic<uint32_t> state_{0};
  alignas(64) std::atomic<int64_t> next_{0};      // first element nobody has taken
  alignas(64) std::atomic<uint32_t> emptied_{0};  // changes when the last worker left a closed loop
  std::atomic<bool> stop_{false};
};

}  // namespace gemma4
