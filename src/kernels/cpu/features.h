// What this CPU has beyond the instruction sets that Highway tells apart, and the system lets
// programs use. Cheap to ask; false on other architectures.
#pragma once

namespace gemma4::kernels {

// x86: 8-bit dot products for vectors of AVX2 (AVX-VNNI).
bool has_avx_vnni();
// x86: 8-bit products of tiles (AMX-INT8). The first call asks the system for the tile registers,
// for all threads of the program that start afterwards as well.
bool has_amx_int8();
// ARM: 8-bit dot products (SDOT).
bool has_dotprod();
// ARM: 8-bit dot products of signs that differ (USDOT) and products of small matrices (USMMLA).
bool has_i8mm();

}  // namespace gemma4::kernels
