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

Result<std::shared_ptr<Device>> open_cpu_device(const CpuOptions& options) {
  G4_ASSIGN_OR_RETURN(const Table table, default_table());
  return make_cpu_device(table, options);
}

}  // namespace gemma4::kernels
