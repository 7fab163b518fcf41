// The vectorised CPU tables: this file is compiled once per instruction set (Highway's
// foreach_target) and one table is filled for each.

// The 8-bit dot products of AVX-512 come with this set, which Highway leaves out by default.
#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cpu_table.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

#include <string>
#include <vector>

#include "kernels/cpu/attention-inl.h"
#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/experts-inl.h"
#include "kernels/cpu/kv_formats-inl.h"
#include "kernels/cpu/linear-inl.h"
#include "kernels/registry.h"

HWY_BEFORE_NAMESPACE();
namespace gemma4::kernels {
namespace HWY_NAMESPACE {

// Entries that gain nothing from vectors keep their definition.
void fill_table(Table& table) {
  table = reference_table();
  table.name = hwy::TargetName(HWY_TARGET);
  table.reads_packed = true;
  table.embed = embed;
  table.combine_per_layer = combine_per_layer;
  table.rms_norm = rms_norm;
  table.linear = linear;
  table.rope_table = rope_table;
  table.rope = rope;
  table.store_kv = store_kv;
  table.attention = attention;
  table.gated_gelu = gated_gelu;
  table.add = add;
  table.scale = scale;
  table.soft_cap = soft_cap;
  table.experts = experts;
  // A launch costs next to nothing here: these are composed of the entries above.
  table.linear_group = nullptr;
  table.gated_linear = nullptr;
  table.prepare_heads = nullptr;
  table.add_normed = nullptr;
  table.best_logits = nullptr;
}

}  // namespace HWY_NAMESPACE
}  // namespace gemma4::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gemma4::kernels {

HWY_EXPORT(fill_table);

namespace {
Table table_for(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  Table table;
  HWY_DYNAMIC_DISPATCH(fill_table)(table);
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return table;
}
}  // namespace

namespace {
std::vector<Table> build_tables() {
  std::vector<Table> tables;
  const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  for (int bit = 0; bit < 62; ++bit)  // lower bits are better instruction sets
    if ((targets >> bit & 1) != 0) tables.push_back(table_for(int64_t{1} << bit));
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
