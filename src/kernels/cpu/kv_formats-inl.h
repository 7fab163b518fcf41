// The types of the K/V cache: how a head's part of a block lies, how rows are narrowed into it, and
// how it is read as floats, exactly. Included once per instruction set.
//
// Keys lie transposed, [Dh, block_tokens]: a vector is a run of keys, so that scores need no sum
// over lanes. Values lie as they came, [block_tokens, Dh]. Q8_0 has its bytes in this order and
// then the f16 scales, [Dh/32, block_tokens] of keys and [block_tokens, Dh/32] of values.

#if defined(GEMMA4_KERNELS_CPU_KV_FORMATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GEMMA4_KERNELS_CPU_KV_FORMATS_INL_H_
#undef GEMMA4_KERNELS_CPU_KV_FORMATS_INL_H_
#else
#define GEMMA4_KERNELS_CPU_KV_FORMATS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/table.h"
#include "quant/nearest_q8_0.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kKvGroup = quant::kSmallBlock;  // elements of a row that are narrowed together

template <class D>
HWY_INLINE hn::Vec<D> load_f16(D d, const uint16_t* p) {
  const hn::Rebind<hwy::float16_t, D> half;
  return hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(p)));
}

// The scale in every lane
template <class D>
HWY_INLINE hn::Vec<D> scale_of(D d, const uint16_t& f16_bits) {
  return hn::Set(d, hn::GetLane(load_f16(hn::CappedTag<float, 1>(), &f16_bits)));
}

// Each format: Raw, what a row consists of; load() of some of it; narrow() of at most kKvGroup
// elements, which returns their scale where there is one.
struct F32Kv {
  using Raw = float;
  static constexpr bool kScaled = false;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const Raw* p) {
    return hn::LoadU(d, p);
  }
  static uint16_t narrow(const float* x, int64_t count, Raw* out) {
    std::memcpy(out, x, static_cast<size_t>(count) * sizeof(float));
    return 0;
  }
};

struct F16Kv {
  using Raw = uint16_t;
  static constexpr bool kScaled = false;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const Raw* p) {
    return load_f16(d, p);
  }
  static uint16_t narrow(const float* x, int64_t count, Raw* out) {
    int64_t i = 0;
#if !HWY_ARCH_X86 || HWY_TARGET < HWY_SSE4  // without F16C, Highway would cut instead of round
    const FloatTag d;
    const hn::Rebind<hwy::float16_t, FloatTag> half;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(hn::DemoteTo(half, hn::LoadU(d, x + i)), half,
                 reinterpret_cast<hwy::float16_t*>(out + i));
#endif
    for (; i < count; ++i) out[i] = f32_to_f16(x[i]);
    return 0;
  }
};

struct Bf16Kv {
  using Raw = uint16_t;
  static constexpr bool kScaled = false;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const Raw* p) {
    const hn::Rebind<uint16_t, D> half;
    const hn::RebindToUnsigned<D> word;
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(word, hn::LoadU(half, p))));
  }
  static uint16_t narrow(const float* x, int64_t count, Raw* out) {
    for (int64_t i = 0; i < count; ++i) out[i] = f32_to_bf16(x[i]);  // the compiler vectorises it
    return 0;
  }
};

struct Q8Kv {
  using Raw = int8_t;
  static constexpr bool kScaled = true;
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const Raw* p) {
    const hn::Rebind<int8_t, D> byte;
    const hn::RebindToSigned<D> word;
    return hn::ConvertTo(d, hn::PromoteTo(word, hn::LoadU(byte, p)));
  }
  // As quant::nearest_q8_0; `count` is kKvGroup.
  static uint16_t narrow(const float* x, int64_t count, Raw* out) {
    const hn::CappedTag<float, kKvGroup> d;
    const hn::Rebind<int8_t, decltype(d)> byte;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    auto largest = hn::Zero(d);
    for (int64_t i = 0; i < count; i += lanes) {
      const auto size = hn::Abs(hn::LoadU(d, x + i));
      largest = hn::IfThenElse(hn::Lt(largest, size), size, largest);  // NaN is none
    }
    const uint16_t bits = quant::nearest_q8_0_scale(hn::GetLane(hn::MaxOfLanes(d, largest)));
    const float scale = f16_to_f32(bits);
    const auto inverse = hn::Set(d, scale > 0 ? 1 / scale : 0);
    for (int64_t i = 0; i < count; i += lanes) {
      const auto multiple = hn::Mul(hn::LoadU(d, x + i), inverse);
      const auto level = hn::Clamp(multiple, hn::Set(d, -127.0f), hn::Set(d, 127.0f));
      const auto number = hn::IfThenElseZero(hn::Eq(multiple, multiple), level);
      hn::StoreU(hn::DemoteTo(byte, hn::NearestInt(number)), byte, out + i);
    }
    return bits;
  }
};

// A head's part of a block.
template <class Format>
struct KvPart {
  typename Format::Raw* elements;
  uint16_t* scales;  // only where the format has them

  static KvPart at(const KvLayer& cache, void* k_or_v, int64_t block, int64_t head) {
    auto* part =
        static_cast<std::byte*>(k_or_v) + (block * cache.heads + head) * cache.part_bytes();
    return {reinterpret_cast<typename Format::Raw*>(part),
            reinterpret_cast<uint16_t*>(part + cache.block_tokens * cache.head_dim)};
  }
};

// Calls body(Format()) for the type of a cache.
template <class Body>
void with_kv_format(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kF32:
      return body(F32Kv());
    case DType::kF16:
      return body(F16Kv());
    case DType::kBF16:
      return body(Bf16Kv());
    default:
      G4_CHECK(dtype == DType::kQ8_0);
      return body(Q8Kv());
  }
}

// Puts elements [begin, begin + count) of a head of one row where its slot is.
template <class Format>
void store_group(const KvLayer& cache, const KvPart<Format>& k, const KvPart<Format>& v,
                 int64_t offset, int64_t begin, int64_t count, const float* key,
                 const float* value) {
  typename Format::Raw narrowed[kKvGroup];
  const uint16_t key_scale = Format::narrow(key + begin, count, narrowed);
  for (int64_t i = 0; i < count; ++i)
    k.elements[(begin + i) * cache.block_tokens + offset] = narrowed[i];
  const uint16_t value_scale =
      Format::narrow(value + begin, count, v.elements + offset * cache.head_dim + begin);
  if constexpr (Format::kScaled) {
    const int64_t group = begin / kKvGroup;
    k.scales[group * cache.block_tokens + offset] = key_scale;
    v.scales[offset * (cache.head_dim / kKvGroup) + group] = value_scale;
  }
}

inline void store_kv(Queue queue, const StoreKvArgs& a) {
  const KvLayer& cache = a.cache;
  const int64_t dim = cache.head_dim;
  const int64_t groups = (dim + kKvGroup - 1) / kKvGroup;
  // Tokens of one block write the same lines of its keys: threads share groups, not tokens.
  const int64_t grain = grain_of(a.tokens * kKvGroup);
  with_kv_format(cache.dtype, [&](auto format) {
    using Part = KvPart<decltype(format)>;
    queue.pool->parallel_for(cache.heads * groups, grain, [&](int64_t first, int64_t last) {
      for (int64_t unit = first; unit < last; ++unit) {
        const int64_t head = unit / groups;
        const int64_t begin = unit % groups * kKvGroup;
        const int64_t count = std::min(kKvGroup, dim - begin);
        for (int64_t t = 0; t < a.tokens; ++t) {
          const int64_t block = a.slots[t] / cache.block_tokens;
          const int64_t from = (t * cache.heads + head) * dim;
          store_group(cache, Part::at(cache, cache.k, block, head),
                      Part::at(cache, cache.v, block, head), a.slots[t] % cache.block_tokens, begin,
                      count, a.k + from, a.v + from);
        }
      }
    });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();
#endif
