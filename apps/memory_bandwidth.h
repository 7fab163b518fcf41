// The roofline of generation: how fast this machine reads memory with the given threads.
#pragma once

#include "base/thread_pool.h"

namespace gemma4::apps {

// Bytes per second of the best of several passes over a buffer far larger than the caches.
double measure_read_bandwidth(ThreadPool& pool);

}  // namespace gemma4::apps
