// A progress bar on stderr for anything longer than a second; silent when stderr is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gemma4::apps {

class Progress {
 public:
  // `total` in the unit that `update` counts; shown as a share, with the rate in bytes when
  // `bytes`.
  enum class Unit { kCount, kBytes };
  Progress(std::string label, uint64_t total, Unit unit);
  ~Progress();  // wipes the line

  void update(uint64_t done);

 private:
  std::string label_;
  uint64_t total_;
  Unit unit_;
  bool visible_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_draw_;
};

}  // namespace gemma4::apps
