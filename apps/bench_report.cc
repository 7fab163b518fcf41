#include "apps/bench_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "apps/json_output.h"
#include "base/strings.h"

namespace gemma4::apps {
namespace {

struct Share {
  const char* of;  // "bandwidth" or "products"
  double value;    // 1 = all there is
};

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// What the row made of the machine; none where the machine's best is not known.
std::optional<Share> share_of(const BenchRow& row, const Roofline& roofline) {
  if (!row.bandwidth_shares.empty()) return Share{"bandwidth", middle(row.bandwidth_shares)};
  if (row.bytes_per_step > 0 && roofline.bandwidth > 0)
    return Share{"bandwidth", row.bytes_per_step * row.median() / static_cast<double>(row.batch) /
                                  roofline.bandwidth};
  if (row.operations > 0 && roofline.operations > 0)
    return Share{"products", row.operations * row.median() / static_cast<double>(row.tokens) /
                                 roofline.operations};
  return std::nullopt;
}

nlohmann::ordered_json profile_json(const BenchRow& row) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [name, entry] : row.profile.entries())
    list.push_back({{"kernel", name},
                    {"calls", entry.calls},
                    {"seconds", entry.seconds},
                    {"weight_bytes", entry.weight_bytes}});
  return {{"seconds", row.profile_seconds}, {"kernels", list}};
}

}  // namespace

void print_table(const std::vector<BenchRow>& rows, const Roofline& roofline) {
  std::printf("%-10s %8s %8s %6s %12s %18s %16s %10s\n", "test", "tokens", "depth", "batch",
              "tokens/s", "min to max", "share", "resident");
  for (const BenchRow& row : rows) {
    const auto share = share_of(row, roofline);
    std::printf("%-10s %8lld %8lld %6lld %12.1f %18s %16s %10s\n", row.test.c_str(),
                static_cast<long long>(row.tokens), static_cast<long long>(row.depth),
                static_cast<long long>(row.batch), row.median(),
                str_cat(fixed(row.speeds.front(), 1), " to ", fixed(row.speeds.back(), 1)).c_str(),
                share ? str_cat(fixed(100 * share->value, 0), " % ", share->of).c_str() : "-",
                human_bytes(row.memory.own).c_str());
  }
}

void print_profile(const BenchRow& row) {
  if (row.profile.entries().empty()) return;
  const double steps = row.test == "prompt" ? 1 : static_cast<double>(row.tokens);
  std::vector<std::pair<std::string, ops::Profile::Entry>> entries(row.profile.entries().begin(),
                                                                   row.profile.entries().end());
  double rest = row.profile_seconds;
  for (const auto& [name, entry] : entries) rest -= entry.seconds;
  entries.push_back({"(between kernels)", {.seconds = rest}});
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  std::printf("\n%s of %lld, depth %lld, batch %lld: %.3f ms\n", row.test.c_str(),
              static_cast<long long>(row.tokens), static_cast<long long>(row.depth),
              static_cast<long long>(row.batch), 1e3 * row.profile_seconds / steps);
  for (const auto& [name, entry] : entries) {
    std::printf("  %-20s %6.0f calls %9.3f ms %5.1f %%", name.c_str(),
                static_cast<double>(entry.calls) / steps, 1e3 * entry.seconds / steps,
                100 * entry.seconds / row.profile_seconds);
    if (entry.weight_bytes > 0)
      std::printf("  weights at %s/s",
                  human_bytes(static_cast<uint64_t>(entry.weight_bytes / entry.seconds)).c_str());
    std::printf("\n");
  }
}

void print_json(const std::vector<BenchRow>& rows, const std::string& model,
                const engine::Engine& engine, const Roofline& roofline) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const BenchRow& row : rows) {
    nlohmann::ordered_json entry = {{"test", row.test},
                                    {"tokens", row.tokens},
                                    {"depth", row.depth},
                                    {"batch", row.batch},
                                    {"tokens_per_second", row.median()},
                                    {"min", row.speeds.front()},
                                    {"max", row.speeds.back()},
                                    {"resident_own_bytes", row.memory.own},
                                    {"resident_mapped_bytes", row.memory.mapped}};
    if (row.bytes_per_step > 0) entry["bytes_per_step"] = row.bytes_per_step;
    if (row.operations > 0) entry["operations"] = row.operations;
    if (const auto share = share_of(row, roofline))
      entry[str_cat(share->of, "_share")] = share->value;
    if (!row.profile.entries().empty()) entry["profile"] = profile_json(row);
    list.push_back(entry);
  }
  const nlohmann::ordered_json json = {{"model", model},
                                       {"kernels", engine.device().table().name},
                                       {"threads", engine.device().num_threads()},
                                       {"kv_type", lower_case(name_of(engine.options().kv_type))},
                                       {"read_bandwidth_bytes_per_second", roofline.bandwidth},
                                       {"product_operations_per_second", roofline.operations},
                                       {"rows", list}};
  write_json(json);
}

}  // namespace gemma4::apps
