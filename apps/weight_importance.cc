#include "apps/weight_importance.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/strings.h"

namespace gemma4::apps {
namespace {

constexpr std::string_view kKeys = "quantize.imatrix.";

// Types whose quantisers weigh errors. Q8_0 is near enough with all of them alike.
bool uses_importance(DType type) { return is_block_dtype(type) && type != DType::kQ8_0; }

// The first few names, and how many more.
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kMost = 5;
  std::string list;
  for (size_t i = 0; i < std::min(kMost, names.size()); ++i)
    list += (i == 0 ? "" : ", ") + quote(names[i]);
  if (names.size() > kMost) list += str_cat(" and ", names.size() - kMost, " more");
  return list;
}

}  // namespace

Result<WeightImportance> WeightImportance::load(const std::string& path) {
  WeightImportance importance;
  importance.path_ = path;
  G4_ASSIGN_OR_RETURN(importance.matrix_, model::ImportanceMatrix::load(path));
  return importance;
}

Result<std::vector<float>> WeightImportance::of(const model::GgufTensorEntry& tensor, DType type) {
  if (!matrix_) return std::vector<float>();
  const auto [name, sums] = matrix_->find(tensor.name);
  if (sums == nullptr) {
    // Rows of the per-layer table are only looked up: there is nothing to know of its columns.
    if (uses_importance(type) && tensor.name != "per_layer_token_embd.weight")
      uncovered_.push_back(tensor.name);
    return std::vector<float>();
  }
  used_.insert(name);
  auto importance = model::column_importance(*sums, tensor);
  if (!importance.ok()) return importance.error().with_context(path_);
  if (!uses_importance(type)) return std::vector<float>();
  return importance;
}

void WeightImportance::print_warnings() const {
  if (!matrix_) return;
  if (!uncovered_.empty())
    std::fprintf(stderr,
                 "gemma4: warning: %s does not cover %zu of the tensors; in them all columns count "
                 "alike: %s\n",
                 path_.c_str(), uncovered_.size(), some_of(uncovered_).c_str());
  std::vector<std::string> unused;
  for (const auto& [name, sums] : matrix_->entries)
    if (!used_.contains(name)) unused.push_back(name);
  if (!unused.empty())
    std::fprintf(stderr,
                 "gemma4: warning: %zu entries of %s are of no tensor of this model; was it "
                 "gathered from another one? %s\n",
                 unused.size(), path_.c_str(), some_of(unused).c_str());
}

void WeightImportance::add_metadata(io::GgufHeader& header) const {
  if (!matrix_) return;
  const auto key = [](const char* name) { return str_cat(kKeys, name); };
  header.add(key("file"), std::filesystem::path(path_).filename().string());
  if (!matrix_->datasets.empty()) header.add(key("dataset"), matrix_->datasets.front());
  header.add(key("entries_count"), static_cast<uint32_t>(matrix_->entries.size()));
  header.add(key("chunks_count"), matrix_->chunk_count);
}

bool is_importance_key(std::string_view key) { return key.starts_with(kKeys); }

}  // namespace gemma4::apps
