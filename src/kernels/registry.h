// Which devices and kernel tables this build has, and which this machine should use.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/device.h"
#include "kernels/table.h"

namespace gemma4::kernels {

struct CpuOptions {
  int num_threads = 0;  // 0 = one per core
  ThreadPool::Pinning pinning = ThreadPool::Pinning::kNone;
};

// The CPU with default_table(). Errors: those of default_table().
Result<std::shared_ptr<Device>> open_cpu_device(const CpuOptions& options);
// The CPU with a given table; for tests.
std::shared_ptr<Device> make_cpu_device(const Table& table, const CpuOptions& options);

// The first NVIDIA card, whose products read their inputs so. Errors: kUnsupported in a build
// without CUDA, kUnavailable without a card or driver; both say so.
Result<std::shared_ptr<Device>> open_cuda_device(Activations activations);

// The scalar definitions: obviously right, never optimised, kept forever.
const Table& reference_table();

// The vectorised CPU kernels of the best instruction set this machine has. The environment variable
// GEMMA4_KERNELS forces "reference" or the name of an instruction set ("AVX2", "AVX3", …); an
// unknown or unsupported one is an error that lists what there is.
Result<Table> default_table();

// One vectorised table per instruction set that this build contains and this machine supports,
// best first. For tests.
const std::vector<Table>& all_cpu_tables();

}  // namespace gemma4::kernels
