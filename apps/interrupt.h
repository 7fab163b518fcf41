// Ctrl-C as a question that long loops ask, instead of sudden death.
#pragma once

namespace gemma4::apps {

// From construction to destruction SIGINT (and SIGTERM) only set a flag. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // Whether a signal came since construction or the last clear().
  bool interrupted() const;
  void clear();

 private:
  void (*previous_int_)(int);
  void (*previous_term_)(int);
};

}  // namespace gemma4::apps
