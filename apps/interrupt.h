// Ctrl-C as a question that long loops ask, instead of sudden death.
#pragma once

#include <array>
#include <csignal>

namespace gemma4::apps {

// From construction to destruction SIGINT, SIGTERM and SIGHUP only set a flag. A guard
// within a guard starts afresh.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // Whether a signal came since construction.
  bool interrupted() const;
  // Whether one ever came that ends the program, not only what it is doing: SIGTERM or SIGHUP.
  bool terminated() const;

 private:
  std::array<struct sigaction, 3> previous_;
};

}  // namespace gemma4::apps
