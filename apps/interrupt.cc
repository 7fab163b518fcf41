#include "apps/interrupt.h"

#include <csignal>

namespace gemma4::apps {
namespace {
volatile std::sig_atomic_t g_interrupted = 0;  // a signal handler can reach nothing else
void on_signal(int) { g_interrupted = 1; }
}  // namespace

InterruptGuard::InterruptGuard() {
  g_interrupted = 0;
  previous_int_ = std::signal(SIGINT, on_signal);
  previous_term_ = std::signal(SIGTERM, on_signal);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, previous_int_);
  std::signal(SIGTERM, previous_term_);
}

bool InterruptGuard::interrupted() const { return g_interrupted != 0; }
void InterruptGuard::clear() { g_interrupted = 0; }

}  // namespace gemma4::apps
