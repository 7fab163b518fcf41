// The vectorised CPU tables: this file is compiled once per instruction set (Highway's
// foreach_target); one table is filled for each, and one for each of its extensions that this CPU
// has.

// The 8-bit dot products of AVX-512 come with this set, which Highway leaves out by default.
#define HWY_WANT_AVX3_DL
// Tiles are arrays of vectors, and vectors whose length the compiler does not know cannot be in
// one.
#ifdef GEMMA4_BASELINE_KERNELS
#define HWY_DISABLED_TARGETS (~HWY_BASELINE_TARGETS)
#else
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cpu_table.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include <vector>

#include "kernels/cpu/attention-inl.h"
#include "kernels/cpu/audio-inl.h"
#include "kernels/cpu/best_logits-inl.h"
#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/experts-inl.h"
#include "kernels/cpu/extensions-inl.h"
#include "kernels/cpu/fused-inl.h"
#include "kernels/cpu/kv_formats-inl.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/cpu/many_rows-inl.h"
#include "kernels/cpu/vision-inl.h"
#include "kernels/registry.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// Entries that gain nothing from vectors keep their definition.
template <class Products>
Table table_with(const char* name) {
  Table table = reference_table();
  table.name = name;
  table.reads_packed = true;
  table.clips_products = true;
  table.embed = embed;
  table.combine_per_layer = combine_per_layer;
  table.rms_norm = rms_norm;
  table.linear = linear_in_order<Products>;
  table.rope_table = rope_table;
  table.rope = rope;
  table.store_kv = store_kv;
  table.attention = attention;
  table.gated_gelu = gated_gelu;
  table.add = add;
  table.scale = scale;
  table.soft_cap = soft_cap;
  table.experts = experts<Products>;
  table.subsample = subsample;
  table.clip = clip;
  table.silu = silu;
  table.light_conv = light_conv;
  table.local_attention = local_attention;
  table.rope_axes = rope_axes;
  table.pool = pool;
  table.layer_norm = layer_norm;
  table.linear_group = linear_group<Products>;
  table.gated_linear = gated_linear<Products>;
  table.add_normed = add_normed;
  table.best_logits = best_logits;
  // A launch costs next to nothing here: these would gain nothing.
  table.prepare_heads = nullptr;
  table.can_add_layer_input = nullptr;
  table.add_layer_input = nullptr;
  return table;
}

// The tables of this instruction set, best first.
void add_tables(std::vector<Table>& tables) {
  for_each_extension([&](const char* name, auto products) {
    tables.push_back(table_with<decltype(products)>(name));
  });
  tables.push_back(table_with<SetProducts>(hwy::TargetName(HWY_TARGET)));
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gemma4::kernels {

HWY_EXPORT(add_tables);

namespace {
void add_tables_for(int64_t target, std::vector<Table>& tables) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  HWY_DYNAMIC_DISPATCH(add_tables)(tables);
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

std::vector<Table> build_tables() {
  std::vector<Table> tables;
  int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
#if HWY_ARCH_ARM_A64
  targets |= HWY_NEON;  // Highway asks for AES as well, which nothing here uses
#endif
  for (int bit = 0; bit < 62; ++bit)  // lower bits are better instruction sets
    if ((targets >> bit & 1) != 0) add_tables_for(int64_t{1} << bit, tables);
  return tables;
}
}  // namespace

// Built once, by whoever comes first: building narrows Highway's process-wide choice for a moment.
const std::vector<Table>& all_cpu_tables() {
  static const std::vector<Table> kTables = build_tables();
  return kTables;
}

}  // namespace gemma4::kernels
#endif
