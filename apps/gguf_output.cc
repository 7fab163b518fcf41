#include "apps/gguf_output.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "apps/interrupt.h"
#include "apps/progress.h"
#include "base/strings.h"
#include "base/thread_pool.h"
#include "quant/dequantize.h"
#include "quant/quantize.h"

namespace gemma4::apps {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPiece = 8 << 20;  // elements converted, then written

struct Item {
  model::GgufTensorEntry tensor;
  DType type;
  std::vector<float> importance = {};  // [experts or 1, cols], or empty

  int64_t cols() const { return tensor.shape.back(); }
  int64_t rows() const {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) rows *= tensor.shape[i];
    return rows;
  }
  // [cols] of one row, or null.
  const float* importance_of(int64_t row) const {
    if (importance.empty()) return nullptr;
    const int64_t rows_each = rows() / (static_cast<int64_t>(importance.size()) / cols());
    return importance.data() + row / rows_each * cols();
  }
  uint64_t bytes() const { return static_cast<uint64_t>(rows() * row_bytes(type, cols())); }
};

// Streams the items' bytes, a piece of rows at a time.
class Converter {
 public:
  Converter(const WeightSource& source, io::GgufWriter& writer, int threads, uint64_t total_bytes)
      : source_(source),
        writer_(writer),
        pool_(threads > 0 ? threads : ThreadPool::available_cores()),
        progress_("writing", total_bytes, Progress::Unit::kBytes) {}

  Status write(const Item& item) {
    const int64_t step = std::max<int64_t>(1, kPiece / item.cols());
    for (int64_t begin = 0; begin < item.rows(); begin += step) {
      const int64_t count = std::min(step, item.rows() - begin);
      G4_RETURN_IF_ERROR(writer_.write(rows(item, begin, count)));
      done_ += static_cast<uint64_t>(count * row_bytes(item.type, item.cols()));
      progress_.update(done_);
      if (interrupt_.interrupted())
        return Error{ErrorCode::kCancelled, "interrupted; nothing was written"};
    }
    return {};
  }

 private:
  std::span<const std::byte> rows(const Item& item, int64_t begin, int64_t count) {
    if (item.type == source_.stored_type(item.tensor)) {
      const auto stored = source_.stored_rows(item.tensor, begin, count);
      if (!stored.empty()) return stored;
    }
    const int64_t cols = item.cols();
    const int64_t stride = row_bytes(item.type, cols);
    bytes_.resize(static_cast<size_t>(count * stride));
    if (item.tensor.is_ids) return narrow_ids(item, begin, count);
    constexpr int64_t kGrain = 1 << 16;  // elements that are worth another thread
    pool_.parallel_for(count, std::max<int64_t>(1, kGrain / cols), [&](int64_t from, int64_t to) {
      std::vector<float> values(static_cast<size_t>((to - from) * cols));
      source_.read_rows(item.tensor, begin + from, to - from, values.data());
      for (int64_t row = from; row < to; ++row)
        quant::quantize_row(item.type, values.data() + (row - from) * cols, cols,
                            item.importance_of(begin + row), bytes_.data() + row * stride);
    });
    return bytes_;
  }

  // Token ids are stored as I64 by some; they were checked to be ids.
  std::span<const std::byte> narrow_ids(const Item& item, int64_t begin, int64_t count) {
    const auto stored = source_.stored_rows(item.tensor, begin, count);
    const int64_t num_ids = count * item.cols();
    for (int64_t i = 0; i < num_ids; ++i) {
      int64_t id;
      std::memcpy(&id, stored.data() + static_cast<size_t>(i) * sizeof id, sizeof id);
      const auto narrow = static_cast<int32_t>(id);
      std::memcpy(bytes_.data() + static_cast<size_t>(i) * sizeof narrow, &narrow, sizeof narrow);
    }
    return bytes_;
  }

  const WeightSource& source_;
  io::GgufWriter& writer_;
  ThreadPool pool_;
  Progress progress_;
  InterruptGuard interrupt_;
  std::vector<std::byte> bytes_;
  uint64_t done_ = 0;
};

// What general.file_type calls a file by most of its matrices; nothing for mixtures without a name.
std::optional<uint32_t> file_type(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ8_0:
      return 7;
    case DType::kQ4_K:
      return 14;
    case DType::kQ5_K:
      return 16;
    case DType::kQ6_K:
      return 18;
    case DType::kIQ4_NL:
      return 25;
    case DType::kBF16:
      return 32;
    default:
      return std::nullopt;
  }
}

void add_file_type(const std::vector<Item>& items, io::GgufHeader& header) {
  const auto query = std::ranges::find_if(
      items, [](const Item& item) { return item.tensor.name == "blk.0.attn_q.weight"; });
  if (query == items.end()) return;
  if (const auto type = file_type(query->type)) header.add("general.file_type", *type);
}

void print_summary(const std::string& path, const std::vector<Item>& items, uint64_t bytes) {
  std::map<std::string, int> counts{{"F32", 1}};  // rope_freqs
  for (const Item& item : items) ++counts[std::string(name_of(item.type))];
  std::string types;
  for (const auto& [type, count] : counts)
    types += (types.empty() ? "" : ", ") + str_cat(count, " ", type);
  std::printf("%s: %zu tensors (%s), %s\n", path.c_str(), items.size() + 1, types.c_str(),
              human_bytes(bytes).c_str());
}

}  // namespace

DType StoredWeights::stored_type(const model::GgufTensorEntry& tensor) const {
  return store_.find(tensor.checkpoint_name)->dtype;
}

std::span<const std::byte> StoredWeights::stored_rows(const model::GgufTensorEntry& tensor,
                                                      int64_t begin, int64_t count) const {
  const io::Tensor& stored = *store_.find(tensor.checkpoint_name);
  const int64_t stride = row_bytes(stored.dtype, tensor.shape.back());
  return stored.bytes.subspan(static_cast<size_t>(begin * stride),
                              static_cast<size_t>(count * stride));
}

void StoredWeights::read_rows(const model::GgufTensorEntry& tensor, int64_t begin, int64_t count,
                              float* out) const {
  const int64_t cols = tensor.shape.back();
  const auto bytes = stored_rows(tensor, begin, count);
  quant::dequantize_row(stored_type(tensor), bytes.data(), count * cols, out);
}

Result<std::string> new_output_path(const std::string& path) {
  std::string out = path;
  while (out.size() > 1 && out.ends_with('/')) out.pop_back();
  std::error_code error;
  if (fs::exists(fs::symlink_status(out, error)))
    return Error{ErrorCode::kInvalidArgument,
                 out + ": exists already; remove it or choose another name"};
  const fs::path parent = fs::path(out).parent_path();
  if (!parent.empty() && !fs::is_directory(parent, error))
    return Error{ErrorCode::kNotFound,
                 str_cat(out, ": there is no folder ", parent.string(), "; create it first")};
  return out;
}

Status write_gguf(GgufOutput output, const WeightSource& source, WeightTypes types) {
  std::vector<Item> items;
  for (model::GgufTensorEntry& tensor : output.tensors) {
    const DType type = types.choose(tensor, source.stored_type(tensor));
    G4_ASSIGN_OR_RETURN(std::vector<float> importance, output.importance.of(tensor, type));
    items.push_back({std::move(tensor), type, std::move(importance)});
  }
  G4_RETURN_IF_ERROR(types.check_rules_used());
  types.note_misfits();
  output.importance.print_warnings();
  output.importance.add_metadata(output.metadata);
  if (!output.keeps_file_type) add_file_type(items, output.metadata);
  output.metadata.add("general.quantization_version", 2u);
  const int64_t pairs = static_cast<int64_t>(output.rope_divisors.size());
  output.metadata.add_tensor("rope_freqs.weight", std::span(&pairs, 1), DType::kF32);
  for (const Item& item : items)
    output.metadata.add_tensor(item.tensor.name, item.tensor.shape, item.type);

  G4_ASSIGN_OR_RETURN(io::GgufWriter writer, io::GgufWriter::create(output.path, output.metadata));
  G4_RETURN_IF_ERROR(writer.write(std::as_bytes(std::span(output.rope_divisors))));
  {
    Converter converter(source, writer, output.threads, output.metadata.tensor_bytes());
    for (const Item& item : items) G4_RETURN_IF_ERROR(converter.write(item));
  }
  G4_RETURN_IF_ERROR(writer.commit());
  print_summary(output.path, items, output.metadata.tensor_bytes());
  return {};
}

}  // namespace gemma4::apps
