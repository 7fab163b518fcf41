// What Hopper's tensor cores add (compute capability 9.0a): products of four warps that read one
// factor from shared memory, copies by the bulk engine, and the barriers that both complete on.
#pragma once

#include "kernels/cuda/mma.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GEMMA4_HAS_WGMMA 1
#endif

namespace gemma4::kernels::cuda {

// Whether the card is one that the kernels below are compiled for.
inline bool has_wgmma() {
  static const bool has = [] {
    int device = 0;
    int major = 0;
    int minor = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) ==
               cudaSuccess &&
           cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) ==
               cudaSuccess &&
           major == 9 && minor == 0;
  }();
  return has;
}

#if defined(GEMMA4_HAS_WGMMA)

// A barrier in shared memory: a phase ends when `count` arrivals and all bytes that were announced
// have come. Phases alternate between parity 0 and 1.
__device__ inline void init_barrier(uint64_t* barrier, unsigned count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
}
// After all init_barrier(), before the copies that use them
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async;" ::: "memory");
}
__device__ inline void arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}
__device__ inline void arrive_expecting(uint64_t* barrier, unsigned bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
// Until the phase of this parity has ended
__device__ inline void wait_for(uint64_t* barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

// `bytes`, a multiple of sixteen, to shared memory, later; they count to the barrier's phase.
__device__ inline void copy_bulk(void* to, const void* from, unsigned bytes, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}

// Where a factor lies in shared memory: bricks of eight columns and eight elements (128 bytes), the
// next elements' brick 128 bytes on, the next columns' kColumnStep.
template <int kColumnStep>
__device__ inline uint64_t describe(const void* shared) {
  constexpr uint64_t kElementStep = 128;
  return (shared_address(shared) & 0x3FFFF) >> 4 | kElementStep >> 4 << 16 |
         static_cast<uint64_t>(kColumnStep >> 4) << 32;
}

// Before a product reads registers that were written since
__device__ inline void order_registers() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ inline void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

#define G4_SUM4(i) "+f"(sum[i]), "+f"(sum[(i) + 1]), "+f"(sum[(i) + 2]), "+f"(sum[(i) + 3])
#define G4_SUM16(i) G4_SUM4(i), G4_SUM4((i) + 4), G4_SUM4((i) + 8), G4_SUM4((i) + 12)
#define G4_FACTORS "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)

// sum [64, kCols] += a [64, 16] · b [16, kCols] in float16, later. Warp w of the four has rows
// 16 w …, laid out like those of multiply_add(); sum[4 j …] is its tile of columns 8 j ….
template <int kCols>
__device__ inline void multiply_later(float (&sum)[kCols / 2], const uint32_t (&a)[4], uint64_t b) {
  static_assert(kCols == 8 || kCols == 16 || kCols == 32 || kCols == 64 || kCols == 128);
  if constexpr (kCols == 8)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, %8, 1, 1, 1, 0;"
        : G4_SUM4(0)
        : G4_FACTORS);
  if constexpr (kCols == 16)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7}, "
        "{%8, %9, %10, %11}, %12, 1, 1, 1, 0;"
        : G4_SUM4(0), G4_SUM4(4)
        : G4_FACTORS);
  if constexpr (kCols == 32)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, "
        "%8, %9, %10, %11, %12, %13, %14, %15}, {%16, %17, %18, %19}, %20, 1, 1, 1, 0;"
        : G4_SUM16(0)
        : G4_FACTORS);
  if constexpr (kCols == 64)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, "
        "%8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, "
        "%26, %27, %28, %29, %30, %31}, {%32, %33, %34, %35}, %36, 1, 1, 1, 0;"
        : G4_SUM16(0), G4_SUM16(16)
        : G4_FACTORS);
  if constexpr (kCols == 128)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, "
        "%8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, "
        "%26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, "
        "%43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, "
        "%60, %61, %62, %63}, {%64, %65, %66, %67}, %68, 1, 1, 1, 0;"
        : G4_SUM16(0), G4_SUM16(16), G4_SUM16(32), G4_SUM16(48)
        : G4_FACTORS);
}

#undef G4_SUM4
#undef G4_SUM16
#undef G4_FACTORS

#endif  // GEMMA4_HAS_WGMMA

}  // namespace gemma4::kernels::cuda
