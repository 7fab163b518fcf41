#include "io/safetensors.h"

#include <simdjson.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "base/strings.h"

namespace gemma4::io {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100u << 20;
constexpr size_t kMaxRank = 8;

Error invalid(std::string message) { return {ErrorCode::kInvalidData, std::move(message)}; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i)
    if (name_of(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  return std::nullopt;
}

// Number of bytes of a tensor, or nothing when the product overflows or a dimension is negative.
std::optional<uint64_t> byte_count(std::span<const int64_t> shape, DType dtype) {
  uint64_t bytes = static_cast<uint64_t>(size_of(dtype));
  for (const int64_t dim : shape)
    if (dim < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(dim), &bytes))
      return std::nullopt;
  return bytes;
}

struct Range {
  uint64_t begin;
  uint64_t end;
  std::string_view name;
};

// One entry of the header. `data` is the buffer that the offsets refer to.
Result<Tensor> parse_entry(std::string_view name, const simdjson::dom::element& value,
                           std::span<const std::byte> data, Range& range) {
  const std::string tensor = "tensor " + quote(name);
  simdjson::dom::object fields;
  if (value.get(fields) != simdjson::SUCCESS)
    return invalid(tensor + ": expected an object in the header");

  Tensor result;
  std::string_view dtype_name;
  if (fields["dtype"].get(dtype_name) != simdjson::SUCCESS)
    return invalid(tensor + ": has no \"dtype\" string");
  const auto dtype = dtype_from_name(dtype_name);
  if (!dtype) return invalid(str_cat(tensor, ": unknown dtype ", quote(dtype_name)));
  result.dtype = *dtype;

  simdjson::dom::array shape;
  if (fields["shape"].get(shape) != simdjson::SUCCESS)
    return invalid(tensor + ": has no \"shape\" array");
  if (shape.size() > kMaxRank)
    return invalid(str_cat(tensor, ": has more than ", kMaxRank, " dimensions"));
  for (const auto dim : shape) {
    int64_t size = 0;
    if (dim.get(size) != simdjson::SUCCESS || size < 0)
      return invalid(tensor + ": \"shape\" holds something that is not a size");
    result.shape.push_back(size);
  }

  simdjson::dom::array offsets;
  if (fields["data_offsets"].get(offsets) != simdjson::SUCCESS || offsets.size() != 2 ||
      offsets.at(0).get(range.begin) != simdjson::SUCCESS ||
      offsets.at(1).get(range.end) != simdjson::SUCCESS)
    return invalid(tensor + ": \"data_offsets\" must be two non-negative integers");
  if (range.begin > range.end || range.end > data.size())
    return invalid(str_cat(tensor, ": bytes ", range.begin, " to ", range.end, " lie outside the ",
                           data.size(),
                           " bytes of data that the file has; it is truncated or damaged"));
  const auto expected = byte_count(result.shape, result.dtype);
  if (!expected || *expected != range.end - range.begin)
    return invalid(str_cat(tensor, ": shape ", shape_string(result.shape), " of ",
                           name_of(result.dtype), " needs ",
                           expected ? std::to_string(*expected) : "too many",
                           " bytes, the header gives it ", range.end - range.begin));
  range.name = name;
  result.bytes = data.subspan(range.begin, range.end - range.begin);
  return result;
}

// The ranges must cover the data exactly: overlaps and holes are how a damaged or lying file shows.
Status check_coverage(std::vector<Range> ranges, uint64_t data_bytes) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const Range& range : ranges) {
    if (range.begin < covered)
      return invalid(str_cat("tensor ", quote(range.name), ": overlaps the tensor before it"));
    if (range.begin > covered)
      return invalid(str_cat("tensor ", quote(range.name), ": ", range.begin - covered,
                             " bytes before it belong to no tensor"));
    covered = range.end;
  }
  if (covered != data_bytes)
    return invalid(str_cat("the last ", data_bytes - covered, " bytes belong to no tensor"));
  return {};
}

}  // namespace

int64_t Tensor::size() const {
  const DTypeInfo info = info_of(dtype);
  return static_cast<int64_t>(bytes.size()) / info.block_bytes * info.block_elements;
}

std::string shape_string(std::span<const int64_t> shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i != 0 ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

Result<TensorMap> parse_safetensors(std::span<const std::byte> file) {
  if (file.size() < 8) return invalid("is too short to be a safetensors file");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), 8);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - 8)
    return invalid(str_cat("claims a header of ", header_bytes, " bytes, but has ", file.size() - 8,
                           " after the length; it is truncated or not a safetensors file"));
  const std::span<const std::byte> data = file.subspan(8 + header_bytes);

  simdjson::dom::parser parser;
  simdjson::dom::object header;
  const auto error =
      parser.parse(reinterpret_cast<const char*>(file.data()) + 8, header_bytes).get(header);
  if (error != simdjson::SUCCESS)
    return invalid(str_cat("its header is not a JSON object: ", simdjson::error_message(error)));

  TensorMap tensors;
  std::vector<Range> ranges;
  for (const auto [key, value] : header) {
    if (key == "__metadata__") continue;
    Range range{};
    G4_ASSIGN_OR_RETURN(Tensor tensor, parse_entry(key, value, data, range));
    const auto [it, inserted] = tensors.emplace(key, std::move(tensor));
    if (!inserted) return invalid(str_cat("tensor ", quote(key), ": is listed twice"));
    range.name = it->first;
    ranges.push_back(range);
  }
  G4_RETURN_IF_ERROR(check_coverage(std::move(ranges), data.size()));
  return tensors;
}

Status TensorStore::add_file(const std::string& path) {
  G4_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  auto parsed = parse_safetensors(file.bytes());
  if (!parsed.ok()) return parsed.error().with_context(path);
  files_.push_back(std::move(file));
  for (auto& [name, tensor] : parsed.value())
    if (!tensors_.emplace(name, std::move(tensor)).second)
      return invalid(str_cat(path, ": tensor ", quote(name), " is also in another shard"));
  return {};
}

Status TensorStore::add_shards(const std::string& folder, const std::string& index_path) {
  G4_ASSIGN_OR_RETURN(const std::string text, read_file(index_path, kMaxHeaderBytes));
  simdjson::dom::parser parser;
  simdjson::dom::object index;
  simdjson::dom::object weight_map;
  if (parser.parse(text).get(index) != simdjson::SUCCESS ||
      index["weight_map"].get(weight_map) != simdjson::SUCCESS)
    return invalid(index_path + ": has no \"weight_map\" object");
  std::set<std::string> shards;
  for (const auto [name, file] : weight_map) {
    std::string_view shard;
    if (file.get(shard) != simdjson::SUCCESS)
      return invalid(
          str_cat(index_path, ": the entry of tensor ", quote(name), " is not a file name"));
    // A shard is a plain file name: an index must not be able to point anywhere else.
    if (shard.empty() || shard.find('/') != shard.npos || shard.find('\0') != shard.npos)
      return invalid(
          str_cat(index_path, ": shard name ", quote(shard), " is not a file in the folder"));
    shards.emplace(shard);
  }
  for (const std::string& shard : shards) {
    const Status status = add_file(folder + "/" + shard);
    if (!status.ok() && status.error().code == ErrorCode::kNotFound)
      return Error{ErrorCode::kNotFound,
                   str_cat(index_path, ": shard ", shard,
                           " is missing; download the rest of the checkpoint")};
    G4_RETURN_IF_ERROR(status);
  }
  for (const auto [name, file] : weight_map)
    if (find(name) == nullptr)
      return invalid(
          str_cat(index_path, ": tensor ", quote(name),
                  " is in none of its shards; the index and the shards do not belong together"));
  return {};
}

Result<TensorStore> TensorStore::open(const std::string& path) {
  TensorStore store;
  store.path_ = path;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    const std::string index_path = path + "/model.safetensors.index.json";
    if (::stat(index_path.c_str(), &info) == 0) {
      G4_RETURN_IF_ERROR(store.add_shards(path, index_path));
    } else {
      const Status status = store.add_file(path + "/model.safetensors");
      if (!status.ok() && status.error().code == ErrorCode::kNotFound)
        return Error{
            ErrorCode::kNotFound,
            str_cat(path, ": has neither model.safetensors nor model.safetensors.index.json")};
      G4_RETURN_IF_ERROR(status);
    }
  } else {
    G4_RETURN_IF_ERROR(store.add_file(path));
  }
  return store;
}

void TensorStore::add(TensorStore other) {
  std::ranges::move(other.files_, std::back_inserter(files_));
  std::ranges::move(other.copies_, std::back_inserter(copies_));
  const size_t count = tensors_.size() + other.tensors_.size();
  tensors_.merge(other.tensors_);
  G4_CHECK_EQ(tensors_.size(), count);
}

bool TensorStore::rename(const std::string& from, const std::string& to) {
  auto node = tensors_.extract(from);
  if (node.empty()) return false;
  node.key() = to;
  G4_CHECK(tensors_.insert(std::move(node)).inserted);
  return true;
}

const Tensor* TensorStore::find(std::string_view name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

uint64_t TensorStore::file_bytes() const {
  uint64_t total = 0;
  for (const MappedFile& file : files_) total += file.bytes().size();
  return total;
}

void TensorStore::forget(const Tensor& tensor) const {
  for (const MappedFile& file : files_) file.forget(tensor.bytes);
}

Result<std::vector<float>> read_floats(const Tensor& tensor) {
  if (!is_float_dtype(tensor.dtype))
    return invalid(str_cat("has type ", name_of(tensor.dtype), ", expected F32, F16 or BF16"));
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = load_float(tensor.bytes.data(), tensor.dtype, static_cast<int64_t>(i));
  return values;
}

namespace {
template <typename T>
std::vector<int64_t> widen(const Tensor& tensor) {
  std::vector<int64_t> values(static_cast<size_t>(tensor.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<int64_t>(value);
  }
  return values;
}
}  // namespace

Result<std::vector<int64_t>> read_integers(const Tensor& tensor) {
  switch (tensor.dtype) {
    case DType::kI64:
      return widen<int64_t>(tensor);
    case DType::kI32:
      return widen<int32_t>(tensor);
    case DType::kU8:
    case DType::kBool:
      return widen<uint8_t>(tensor);
    default:
      return invalid(
          str_cat("has type ", name_of(tensor.dtype), ", expected I64, I32, U8 or BOOL"));
  }
}

Result<SafetensorsWriter> SafetensorsWriter::create(const std::string& path,
                                                    const std::vector<Entry>& entries) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  uint64_t offset = 0;
  for (const Entry& entry : entries) {
    const auto bytes = byte_count(entry.shape, entry.dtype);
    G4_CHECK(bytes.has_value());
    header += str_cat(",\"", entry.name, "\":{\"dtype\":\"", name_of(entry.dtype),
                      "\",\"shape\":", shape_string(entry.shape), ",\"data_offsets\":[", offset,
                      ",", offset + *bytes, "]}");
    offset += *bytes;
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');  // tensors start 8-byte aligned
  G4_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  const uint64_t header_bytes = header.size();
  G4_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&header_bytes, 1))));
  G4_RETURN_IF_ERROR(file.write(std::string_view(header)));
  return SafetensorsWriter(std::move(file), 8 + header_bytes + offset);
}

Status SafetensorsWriter::commit() {
  G4_CHECK_EQ(file_.bytes_written(), total_bytes_);
  return file_.commit();
}

}  // namespace gemma4::io
