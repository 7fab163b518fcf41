// The roofline of prompts: how many operations a second the processor's own instructions reach when
// nothing has to be loaded.
#pragma once

#include "base/thread_pool.h"

namespace gemma4::kernels {

// Operations per second of all threads of a pool; a multiplication and an addition are two.
struct Peaks {
  double int8;     // products of quantised weights
  double float32;  // all others
};

// Best of several runs of a few milliseconds with the best instruction set of this machine,
// whatever GEMMA4_KERNELS says.
Peaks measure_peaks(ThreadPool& pool);

}  // namespace gemma4::kernels
