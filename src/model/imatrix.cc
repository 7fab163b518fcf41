#include "model/imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "io/mapped_file.h"

namespace gemma4::model {
namespace {

using io::GgufFile;
using io::GgufTensor;

constexpr std::string_view kSquares = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr const char* kDatasets = "imatrix.datasets";
constexpr const char* kChunkCount = "imatrix.chunk_count";
constexpr const char* kChunkSize = "imatrix.chunk_size";

Error invalid(std::string_view name, const std::string& problem) {
  return {ErrorCode::kInvalidData, str_cat("entry ", quote(name, 100), " ", problem)};
}

Result<std::vector<float>> read_sums(std::string_view name, const GgufTensor& tensor) {
  if (io::dtype_of(*tensor.type) != DType::kF32)
    return invalid(name, str_cat("has type ", tensor.type->name, ", expected F32"));
  std::vector<float> values(static_cast<size_t>(tensor.num_elements));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

// Sums of squares, and counts: numbers that are not negative.
Status check_sums(std::string_view name, const ColumnSums& sums) {
  for (const auto* values : {&sums.squares, &sums.counts})
    for (const float value : *values)
      if (!(std::isfinite(value) && value >= 0))
        return invalid(name, "holds values that are no sums of squares");
  return {};
}

Result<ColumnSums> read_entry(const GgufFile& file, std::string_view name,
                              const GgufTensor& squares) {
  const GgufTensor* const counts = file.find_tensor(str_cat(name, kCounts));
  if (counts == nullptr) return invalid(name, "has sums but no counts");
  ColumnSums sums;
  G4_ASSIGN_OR_RETURN(sums.squares, read_sums(name, squares));
  G4_ASSIGN_OR_RETURN(sums.counts, read_sums(name, *counts));
  if (sums.counts.empty() || sums.squares.empty() || sums.squares.size() % sums.counts.size() != 0)
    return invalid(
        name, str_cat("has ", sums.squares.size(), " sums for ", sums.counts.size(), " counts"));
  G4_RETURN_IF_ERROR(check_sums(name, sums));
  return sums;
}

Result<uint32_t> read_number(const GgufFile& file, const char* key) {
  if (file.find(key) == nullptr) return 0u;
  G4_ASSIGN_OR_RETURN(const int64_t value, file.get_int(key));
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, UINT32_MAX));
}

}  // namespace

Result<ImportanceMatrix> ImportanceMatrix::parse(std::span<const std::byte> bytes) {
  G4_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::parse(bytes));
  const auto type = file.get_string("general.type");
  if (!type.ok() || type.value() != "imatrix")
    return Error{ErrorCode::kUnsupported,
                 "is a GGUF file, but no importance matrix (general.type is not \"imatrix\")"};
  ImportanceMatrix matrix;
  if (file.find(kDatasets) != nullptr) {
    G4_ASSIGN_OR_RETURN(const io::GgufArray names,
                        file.get_array(kDatasets, io::GgufValueType::kString));
    for (const io::GgufValue name : names) matrix.datasets.emplace_back(*name.as_string());
  }
  G4_ASSIGN_OR_RETURN(matrix.chunk_count, read_number(file, kChunkCount));
  G4_ASSIGN_OR_RETURN(matrix.chunk_tokens, read_number(file, kChunkSize));
  for (const auto& [tensor_name, tensor] : file.tensors()) {
    if (!tensor_name.ends_with(kSquares)) continue;
    const std::string_view name = tensor_name.substr(0, tensor_name.size() - kSquares.size());
    G4_ASSIGN_OR_RETURN(ColumnSums sums, read_entry(file, name, tensor));
    matrix.entries.emplace(name, std::move(sums));
  }
  if (matrix.entries.empty())
    return Error{ErrorCode::kInvalidData, "the importance matrix has no entries"};
  return matrix;
}

Result<ImportanceMatrix> ImportanceMatrix::load(const std::string& path) {
  G4_ASSIGN_OR_RETURN(const io::MappedFile map, io::MappedFile::open(path));
  if (map.bytes().size() < 4 || std::memcmp(map.bytes().data(), "GGUF", 4) != 0)
    return Error{ErrorCode::kUnsupported,
                 path +
                     ": is no GGUF file; an importance matrix in the older format can be "
                     "converted with llama-imatrix --in-file OLD -o NEW.gguf"};
  auto matrix = parse(map.bytes());
  if (!matrix.ok()) return matrix.error().with_context(path);
  return matrix;
}

Status ImportanceMatrix::save(const std::string& path) const {
  io::GgufHeader header;
  header.add("general.type", "imatrix");
  const std::vector<std::string_view> names(datasets.begin(), datasets.end());
  header.add(kDatasets, std::span(names));
  header.add(kChunkCount, chunk_count);
  header.add(kChunkSize, chunk_tokens);
  for (const auto& [name, sums] : entries) {
    G4_RETURN_IF_ERROR(check_sums(name, sums));
    const int64_t shape[] = {sums.num_matrices(), sums.cols()};
    const int64_t counts_shape[] = {sums.num_matrices(), 1};
    header.add_tensor(str_cat(name, kSquares), shape, DType::kF32);
    header.add_tensor(str_cat(name, kCounts), counts_shape, DType::kF32);
  }
  G4_ASSIGN_OR_RETURN(io::GgufWriter writer, io::GgufWriter::create(path, header));
  for (const auto& [name, sums] : entries)
    for (const auto* values : {&sums.squares, &sums.counts})
      G4_RETURN_IF_ERROR(writer.write(std::as_bytes(std::span(*values))));
  return writer.commit();
}

std::pair<std::string, const ColumnSums*> ImportanceMatrix::find(std::string_view name) const {
  // Parts of names, and what stands there in files of another layout.
  constexpr std::pair<std::string_view, std::string_view> kSameInput[] = {
      {"", ""},
      {".ffn_gate_up_exps.", ".ffn_gate_exps."},
      {".ffn_gate_up_exps.", ".ffn_up_exps."},
      {".attn_q.", ".attn_qkv."},
      {".attn_k.", ".attn_qkv."},
      {".attn_v.", ".attn_qkv."},
  };
  for (const auto& [part, other] : kSameInput) {
    const size_t at = name.find(part);
    if (at == name.npos) continue;
    const auto found =
        entries.find(str_cat(name.substr(0, at), other, name.substr(at + part.size())));
    if (found != entries.end()) return {found->first, &found->second};
  }
  return {};
}

Result<std::vector<float>> column_importance(const ColumnSums& sums,
                                             const GgufTensorEntry& tensor) {
  const int64_t cols = tensor.shape.back();
  const int64_t matrices = tensor.shape.size() > 2 ? tensor.shape.front() : 1;
  if (sums.num_matrices() != matrices || sums.cols() != cols)
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("entry ", quote(tensor.name, 100), " has ", sums.num_matrices(), " x ",
                         sums.cols(), " columns, the model's tensor has ", matrices, " x ", cols,
                         "; it was gathered from another model")};
  std::vector<float> means(sums.squares.size());
  for (size_t i = 0; i < means.size(); ++i) {
    const float count = sums.counts[i / static_cast<size_t>(cols)];
    means[i] = count > 0 ? sums.squares[i] / count : 1.0f;
  }
  return means;
}

}  // namespace gemma4::model
