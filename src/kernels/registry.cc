#include "kernels/registry.h"

#include <cstdlib>
#include <string_view>

#include "base/strings.h"

namespace gemma4::kernels {

Result<Table> default_table() {
  const std::vector<Table>& tables = all_cpu_tables();
  const char* forced = std::getenv("GEMMA4_KERNELS");
  if (forced == nullptr || *forced == '\0') return tables.front();
  std::string names = "reference";
  if (std::string_view(forced) == "reference") return reference_table();
  for (const Table& table : tables) {
    if (std::string_view(forced) == table.name) return table;
    names += str_cat(", ", table.name);
  }
  return Error{ErrorCode::kInvalidArgument,
               str_cat("GEMMA4_KERNELS=", forced, ": this machine and build have ", names)};
}

Cost cost(const LinearArgs& args) {
  const auto tokens = static_cast<double>(args.tokens);
  const auto rows = static_cast<double>(args.weight.rows);
  const auto cols = static_cast<double>(args.weight.cols);
  return {.bytes = static_cast<double>(args.weight.bytes()) + 4 * tokens * (rows + cols),
          .flops = 2 * tokens * rows * cols};
}

Cost cost(const AttentionArgs& args) {
  double keys = 0;
  for (int64_t t = 0; t < args.tokens; ++t) keys += args.key_end[t] - args.key_begin[t];
  const auto dim = static_cast<double>(args.cache.head_dim);
  return {.bytes = 2 * 4 * keys * static_cast<double>(args.cache.heads) * dim,
          .flops = 4 * keys * static_cast<double>(args.q_heads) * dim};
}

}  // namespace gemma4::kernels
