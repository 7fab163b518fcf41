#include "ops/profile.h"

#include <algorithm>

namespace gemma4::ops {
namespace {

double bytes_of(const Matrix& weight) { return weight ? static_cast<double>(weight.bytes()) : 0; }

}  // namespace

void Profile::add(std::string_view entry, double seconds, double weight_bytes) {
  auto it = entries_.find(entry);
  if (it == entries_.end()) it = entries_.emplace(entry, Entry{}).first;
  it->second.calls += 1;
  it->second.seconds += seconds;
  it->second.weight_bytes += weight_bytes;
}

double weight_bytes(const kernels::LinearArgs& a) { return bytes_of(a.weight); }

double weight_bytes(const kernels::LinearGroupArgs& a) {
  double bytes = 0;
  for (int i = 0; i < a.count; ++i) bytes += bytes_of(a.weight[i]);
  return bytes;
}

double weight_bytes(const kernels::GatedLinearArgs& a) { return bytes_of(a.gate) + bytes_of(a.up); }

double weight_bytes(const kernels::LayerInputArgs& a) {
  return bytes_of(a.gate) + bytes_of(a.projection);
}

double weight_bytes(const kernels::ExpertsArgs& a) {
  const auto met = static_cast<double>(std::min(a.num_experts, a.tokens * a.top_k));
  return (bytes_of(a.gate_up) + bytes_of(a.down)) * met / static_cast<double>(a.num_experts);
}

}  // namespace gemma4::ops
