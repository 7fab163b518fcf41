#include "apps/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/strings.h"

namespace gemma4::apps {
namespace {
using Clock = std::chrono::steady_clock;
constexpr auto kQuiet = std::chrono::seconds(1);  // short work shows nothing
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr int kWidth = 30;
}  // namespace

Progress::Progress(std::string label, uint64_t total, Unit unit)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      visible_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_draw_(start_) {}

Progress::~Progress() {
  if (drawn_) std::fprintf(stderr, "\r\033[K");
}

void Progress::update(uint64_t done) {
  const auto now = Clock::now();
  if (!visible_ || now - start_ < kQuiet || now - last_draw_ < kInterval) return;
  last_draw_ = now;
  drawn_ = true;
  const double share =
      total_ == 0 ? 1.0 : static_cast<double>(std::min(done, total_)) / static_cast<double>(total_);
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string bar(static_cast<size_t>(share * kWidth), '=');
  bar.resize(kWidth, ' ');
  const double rate = static_cast<double>(done) / seconds;
  const double left = rate > 0 ? static_cast<double>(total_ - std::min(done, total_)) / rate : 0;
  const std::string amount =
      unit_ == Unit::kBytes
          ? human_bytes(done) + ", " + human_bytes(static_cast<uint64_t>(rate)) + "/s"
          : with_thousands(done);
  std::fprintf(stderr, "\r\033[K%s [%s] %3.0f %%  %s, %.0f s left", label_.c_str(), bar.c_str(),
               100 * share, amount.c_str(), left);
  std::fflush(stderr);
}

}  // namespace gemma4::apps
