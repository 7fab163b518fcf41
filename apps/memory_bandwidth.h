// The roofline of generation: how fast this machine reads memory with the given threads.
#pragma once

#include "base/thread_pool.h"

namespace gemma4::apps {

// Bytes per second of several passes over a buffer far larger than the caches.
struct ReadBandwidth {
  double best = 0;
  double mean = 0;  // all bytes by all time: what a program of some length could have had
};
ReadBandwidth measure_read_bandwidth(ThreadPool& pool);

}  // namespace gemma4::apps
