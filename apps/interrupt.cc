#include "apps/interrupt.h"

#include <atomic>

namespace gemma4::apps {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

// A signal handler can reach nothing else. Atomic, since any thread may run it (volatile
// sig_atomic_t is for the handler's own thread only).
std::atomic<bool> g_interrupted = false;
std::atomic<bool> g_terminated = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  if (signal != SIGINT) g_terminated = true;  // first: who sees the other asks for it
  g_interrupted = true;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  g_interrupted = false;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // a write in progress is not a failed write
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &previous_[i]);
    if (previous_[i].sa_handler != SIG_IGN)  // nohup stays in force
      sigaction(kSignals[i], &action, nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
}

bool InterruptGuard::interrupted() const { return g_interrupted; }
bool InterruptGuard::terminated() const { return g_terminated; }

}  // namespace gemma4::apps
