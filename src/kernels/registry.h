// Which kernel tables this build has, and which one this machine should use.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/table.h"

namespace gemma4::kernels {

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
