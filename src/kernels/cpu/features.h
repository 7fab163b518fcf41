// What this CPU has beyond the instruction sets that Highway tells apart, and the system lets
// programs use. Cheap to ask; false on other architectures.
#pragma once

namespace gemma4::kernels {

// x86: 8-bit dot products for vectors of AVX2 (AVX-VNNI).
bool has_avx_vnni();
// ARM: 8-bit dot products (SDOT).
bool has_dotprod();
// ARM: 8-bit dot products of signs that differ (USDOT) and products of small matrices (USMMLA).
bool has_i8mm();

}  // namespace gemma4::kernels
