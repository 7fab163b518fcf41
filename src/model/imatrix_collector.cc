#include "model/imatrix_collector.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "model/gguf_names.h"

namespace gemma4::model {

ImportanceCollector::ImportanceCollector(const Model& model, kernels::Device& device)
    : device_(device) {
  for (const NamedMatrix& named : model.matrices()) {
    const Matrix& matrix = named.matrix;
    const auto name = gguf_name(named.name);
    G4_CHECK(name.has_value());
    Sums sums{.name = *name,
              .num_matrices = named.shape.size() > 2 ? named.shape.front() : 1,
              .cols = matrix.cols};
    for (const void* data : {matrix.data, matrix.packed})
      if (data != nullptr) by_address_.emplace(static_cast<const std::byte*>(data), sums_.size());
    sums_.push_back(std::move(sums));
  }
}

// The weight that `weight` is, or is some rows of.
ImportanceCollector::Sums* ImportanceCollector::find(const Matrix& weight) {
  const auto* const data =
      static_cast<const std::byte*>(weight.data != nullptr ? weight.data : weight.packed);
  const auto after = by_address_.upper_bound(data);
  G4_CHECK(after != by_address_.begin());
  Sums& sums = sums_[std::prev(after)->second];
  G4_CHECK_EQ(sums.cols, weight.cols);
  const auto size = static_cast<size_t>(sums.num_matrices);
  sums.squares.resize(size * static_cast<size_t>(sums.cols));
  sums.counts.resize(size);
  return &sums;
}

void ImportanceCollector::add(Sums& sums, int64_t matrix, const float* x, int64_t rows) {
  double* const squares = sums.squares.data() + matrix * sums.cols;
  for (int64_t row = 0; row < rows; ++row, x += sums.cols)
    for (int64_t j = 0; j < sums.cols; ++j) squares[j] += static_cast<double>(x[j]) * x[j];
  sums.counts[static_cast<size_t>(matrix)] += rows;
}

template <typename T>
std::vector<T> ImportanceCollector::read(const T* values, int64_t count) {
  std::vector<T> copy(static_cast<size_t>(count));
  device_.download(copy.data(), values, copy.size() * sizeof(T));
  return copy;
}

void ImportanceCollector::record(std::string_view entry, const void* args, size_t args_bytes) {
  if (!status_.ok()) return;
  if (entry == "linear") {
    G4_CHECK_EQ(args_bytes, sizeof(kernels::LinearArgs));
    record_linear(*static_cast<const kernels::LinearArgs*>(args));
  } else if (entry == "experts") {
    G4_CHECK_EQ(args_bytes, sizeof(kernels::ExpertsArgs));
    status_ = record_experts(*static_cast<const kernels::ExpertsArgs*>(args));
  }
}

void ImportanceCollector::record_linear(const kernels::LinearArgs& args) {
  Sums& sums = *find(args.weight);
  if (device_.is_host()) return add(sums, 0, args.x, args.tokens);
  add(sums, 0, read(args.x, args.tokens * sums.cols).data(), args.tokens);
}

Status ImportanceCollector::record_experts(const kernels::ExpertsArgs& args) {
  const std::vector<float> x = read(args.x, args.tokens * args.hidden);
  const std::vector<int32_t> chosen = read(args.experts, args.tokens * args.top_k);
  Sums& sums = *find(args.gate_up);
  for (int64_t expert = 0; expert < args.num_experts; ++expert) {
    gathered_.clear();
    for (size_t pair = 0; pair < chosen.size(); ++pair) {
      if (chosen[pair] != expert) continue;
      const auto row = x.begin() + static_cast<int64_t>(pair) / args.top_k * args.hidden;
      gathered_.insert(gathered_.end(), row, row + args.hidden);
    }
    const int64_t rows = static_cast<int64_t>(gathered_.size()) / args.hidden;
    if (rows == 0) continue;
    add(sums, expert, gathered_.data(), rows);
    G4_RETURN_IF_ERROR(record_down(args, expert, rows));
  }
  return {};
}

// What goes into an expert's second product is only inside the kernel: computed again, by the plain
// entries.
Status ImportanceCollector::record_down(const kernels::ExpertsArgs& args, int64_t expert,
                                        int64_t rows) {
  const auto bytes = [&](int64_t cols) { return static_cast<size_t>(rows * cols) * sizeof(float); };
  G4_ASSIGN_OR_RETURN(const auto x, device_.allocate(bytes(args.hidden)));
  G4_ASSIGN_OR_RETURN(const auto gate_up, device_.allocate(bytes(2 * args.width)));
  G4_ASSIGN_OR_RETURN(const auto product, device_.allocate(bytes(args.width)));
  const auto floats = [](const kernels::Device::Memory& memory) {
    return reinterpret_cast<float*>(memory.get());
  };
  device_.upload(x.get(), gathered_.data(), bytes(args.hidden));
  device_.table().linear(
      device_.queue(), {.out = floats(gate_up),
                        .x = floats(x),
                        .tokens = rows,
                        .weight = args.gate_up.row_slice(expert * 2 * args.width, 2 * args.width)});
  device_.table().gated_gelu(device_.queue(), {.out = floats(product),
                                               .gate = floats(gate_up),
                                               .up = floats(gate_up) + args.width,
                                               .rows = rows,
                                               .cols = args.width,
                                               .gate_stride = 2 * args.width,
                                               .up_stride = 2 * args.width});
  add(*find(args.down), expert, read(floats(product), rows * args.width).data(), rows);
  return device_.finish();
}

Result<std::map<std::string, ColumnSums, std::less<>>> ImportanceCollector::entries() const {
  G4_RETURN_IF_ERROR(status_);
  std::map<std::string, ColumnSums, std::less<>> entries;
  for (const Sums& sums : sums_) {
    if (sums.counts.empty()) continue;
    entries[sums.name] = {{sums.squares.begin(), sums.squares.end()},
                          {sums.counts.begin(), sums.counts.end()}};
  }
  return entries;
}

}  // namespace gemma4::model
