#include "kernels/cpu/features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace gemma4::kernels {

#if defined(__x86_64__)

namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
// Zeros for a leaf that this CPU does not have.
Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}
// The register files that the system saves for this program.
uint64_t saved_state() {
  constexpr uint32_t kOsXsave = 1u << 27;
  if ((cpuid(1, 0).ecx & kOsXsave) == 0) return 0;
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}
bool saves(uint64_t state) { return (saved_state() & state) == state; }

}  // namespace

bool has_avx_vnni() {
  constexpr uint64_t kYmm = 1u << 1 | 1u << 2;
  return (cpuid(7, 1).eax >> 4 & 1) != 0 && saves(kYmm);
}

bool has_amx_int8() {
  constexpr uint64_t kTiles = uint64_t{3} << 17;  // their configuration and their data
  constexpr long kRequestPermission = 0x1023;     // ARCH_REQ_XCOMP_PERM, Linux 5.16
  constexpr long kTileData = 18;
  const uint32_t edx = cpuid(7, 0).edx;
  if ((edx >> 24 & 1) == 0 || (edx >> 25 & 1) == 0 || !saves(kTiles)) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool has_dotprod() { return false; }
bool has_i8mm() { return false; }

#elif defined(__aarch64__)

bool has_avx_vnni() { return false; }
bool has_amx_int8() { return false; }
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool has_i8mm() { return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }

#else

bool has_avx_vnni() { return false; }
bool has_amx_int8() { return false; }
bool has_dotprod() { return false; }
bool has_i8mm() { return false; }

#endif

}  // namespace gemma4::kernels
