#include "io/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/strings.h"

namespace gemma4::io {
namespace {

static_assert(std::endian::native == std::endian::little, "values are read where they lie");

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr int kMaxArrayDepth = 4;
constexpr uint32_t kMaxDims = 4;
constexpr int64_t kMaxAlignment = int64_t{1} << 20;

// Ids 4, 5, 31 to 33 and 36 to 38 are retired.
constexpr GgufTensorType kTensorTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},    {42, "Q2_0", 64, 18},
};

Error invalid(std::string message) { return {ErrorCode::kInvalidData, std::move(message)}; }

template <typename T>
T load(std::span<const std::byte> bytes, size_t offset = 0) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Bytes of a value of fixed size; 0 for strings, arrays and unknown types.
constexpr size_t fixed_size(GgufValueType type) {
  using enum GgufValueType;
  switch (type) {
    case kU8:
    case kI8:
    case kBool:
      return 1;
    case kU16:
    case kI16:
      return 2;
    case kU32:
    case kI32:
    case kF32:
      return 4;
    case kU64:
    case kI64:
    case kF64:
      return 8;
    default:
      return 0;
  }
}

constexpr size_t kStringPrefix = 8;  // u64 length
constexpr size_t kArrayPrefix = 12;  // u32 element type, u64 count
constexpr size_t kBad = SIZE_MAX;

// Bytes of the value at the front of `bytes`, or kBad when it does not fit or is not one. Also
// called on data that was checked before: the file may have changed under its map since.
size_t value_size(GgufValueType type, std::span<const std::byte> bytes, int depth = 0) {
  if (const size_t size = fixed_size(type)) return size <= bytes.size() ? size : kBad;
  if (type == GgufValueType::kString) {
    if (bytes.size() < kStringPrefix) return kBad;
    const auto length = load<uint64_t>(bytes);
    return length <= bytes.size() - kStringPrefix ? kStringPrefix + length : kBad;
  }
  if (type != GgufValueType::kArray || bytes.size() < kArrayPrefix || depth == kMaxArrayDepth)
    return kBad;
  const auto element_type = GgufValueType{load<uint32_t>(bytes)};
  const auto count = load<uint64_t>(bytes, 4);
  std::span<const std::byte> rest = bytes.subspan(kArrayPrefix);
  if (const size_t size = fixed_size(element_type))
    return count <= rest.size() / size ? kArrayPrefix + count * size : kBad;
  if (count > rest.size() / kStringPrefix) return kBad;  // no element is shorter
  for (uint64_t i = 0; i < count; ++i) {
    const size_t size = value_size(element_type, rest, depth + 1);
    if (size == kBad) return kBad;
    rest = rest.subspan(size);
  }
  return bytes.size() - rest.size();
}

// Takes values off the front of the file.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> file) : rest_(file), size_(file.size()) {}

  size_t position() const { return size_ - rest_.size(); }
  size_t left() const { return rest_.size(); }

  std::optional<std::span<const std::byte>> take(GgufValueType type) {
    const size_t size = value_size(type, rest_);
    if (size == kBad) return std::nullopt;
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  // `what` names the value in the error.
  template <typename T>
  Result<T> take_number(GgufValueType type, const std::string& what) {
    const auto bytes = take(type);
    if (!bytes) return invalid(what + ": the file ends here");
    return load<T>(*bytes);
  }
  Result<uint32_t> take_u32(const std::string& what) {
    return take_number<uint32_t>(GgufValueType::kU32, what);
  }
  Result<uint64_t> take_u64(const std::string& what) {
    return take_number<uint64_t>(GgufValueType::kU64, what);
  }
  Result<std::string_view> take_string(const std::string& what) {
    const auto bytes = take(GgufValueType::kString);
    if (!bytes) return invalid(what + ": longer than the file");
    return *GgufValue(GgufValueType::kString, *bytes).as_string();
  }

 private:
  std::span<const std::byte> rest_;
  size_t size_;
};

struct Header {
  uint64_t num_tensors = 0, num_metadata = 0;
};

Result<Header> read_header(Cursor& cursor) {
  G4_ASSIGN_OR_RETURN(const uint32_t magic, cursor.take_u32("magic"));
  if (magic != kMagic) return invalid("expected a GGUF file, which begins with the letters GGUF");
  G4_ASSIGN_OR_RETURN(const uint32_t version, cursor.take_u32("version"));
  if (version != 2 && version != 3) {
    const bool swapped = version != 0 && version % 0x10000 == 0;
    return Error{ErrorCode::kUnsupported,
                 swapped ? "the GGUF file is big-endian, expected little-endian"
                         : str_cat("GGUF version ", version, ", expected 2 or 3")};
  }
  Header header;
  G4_ASSIGN_OR_RETURN(header.num_tensors, cursor.take_u64("number of tensors"));
  G4_ASSIGN_OR_RETURN(header.num_metadata, cursor.take_u64("number of metadata"));
  return header;
}

Status read_metadata(Cursor& cursor, uint64_t count, GgufFile::Metadata& metadata) {
  for (uint64_t i = 0; i < count; ++i) {
    G4_ASSIGN_OR_RETURN(const std::string_view key,
                        cursor.take_string(str_cat("metadata key ", i)));
    const std::string name = str_cat("metadata ", quote(key));
    G4_ASSIGN_OR_RETURN(const uint32_t type_number, cursor.take_u32(name));
    const auto type = GgufValueType{type_number};
    if (name_of(type) == "?") return invalid(str_cat(name, ": unknown value type ", type_number));
    const auto bytes = cursor.take(type);
    if (!bytes)
      return invalid(
          str_cat(name, ": the ", name_of(type),
                  " is longer than the file, of an unknown element type or nested too deep"));
    if (!metadata.emplace(key, GgufValue(type, *bytes)).second)
      return invalid(name + " is there twice");
  }
  return {};
}

// A tensor as described, before its place in the file is known.
struct TensorInfo {
  std::string_view name;
  GgufTensor tensor;
  uint64_t offset = 0;  // from the start of the data
  uint64_t num_bytes = 0;
};

// Derives element count and bytes from type and dims.
Status measure(const std::string& name, TensorInfo& info) {
  const GgufTensorType& type = *info.tensor.type;
  info.tensor.num_elements = 1;
  for (const int64_t dim : info.tensor.dims)
    if (__builtin_mul_overflow(info.tensor.num_elements, dim, &info.tensor.num_elements))
      return invalid(name + ": has more than 2^63 elements");
  if (info.tensor.dims[0] % type.block_elements != 0)
    return invalid(str_cat(name, ": rows of ", info.tensor.dims[0],
                           " elements, expected a multiple of ", type.block_elements, " for ",
                           type.name));
  const auto num_blocks = static_cast<uint64_t>(info.tensor.num_elements / type.block_elements);
  if (__builtin_mul_overflow(num_blocks, static_cast<uint64_t>(type.block_bytes), &info.num_bytes))
    return invalid(name + ": has more than 2^64 bytes");
  return {};
}

Result<TensorInfo> read_tensor_info(Cursor& cursor, uint64_t index) {
  TensorInfo info;
  G4_ASSIGN_OR_RETURN(info.name, cursor.take_string(str_cat("name of tensor ", index)));
  const std::string name = str_cat("tensor ", quote(info.name));
  G4_ASSIGN_OR_RETURN(const uint32_t num_dims, cursor.take_u32(name));
  if (num_dims < 1 || num_dims > kMaxDims)
    return invalid(str_cat(name, ": ", num_dims, " dimensions, expected 1 to ", kMaxDims));
  for (uint32_t i = 0; i < num_dims; ++i) {
    G4_ASSIGN_OR_RETURN(const uint64_t dim, cursor.take_u64(name));
    if (dim < 1 || dim > uint64_t{INT64_MAX})
      return invalid(str_cat(name, ": dimension ", i, " is ", dim));
    info.tensor.dims.push_back(static_cast<int64_t>(dim));
  }
  G4_ASSIGN_OR_RETURN(const uint32_t type, cursor.take_u32(name));
  info.tensor.type = find_gguf_tensor_type(type);
  if (info.tensor.type == nullptr) return invalid(str_cat(name, ": unknown tensor type ", type));
  G4_ASSIGN_OR_RETURN(info.offset, cursor.take_u64(name));
  G4_RETURN_IF_ERROR(measure(name, info));
  return info;
}

Status read_tensors(Cursor& cursor, uint64_t count, int64_t alignment,
                    std::span<const std::byte> file, GgufFile::Tensors& tensors) {
  std::vector<TensorInfo> infos;
  for (uint64_t i = 0; i < count; ++i) {
    G4_ASSIGN_OR_RETURN(TensorInfo info, read_tensor_info(cursor, i));
    infos.push_back(std::move(info));
  }
  // A file without tensors may end before its padding does.
  const auto step = static_cast<size_t>(alignment);
  const size_t data_begin = std::min((cursor.position() + step - 1) / step * step, file.size());
  const std::span<const std::byte> data = file.subspan(data_begin);
  for (TensorInfo& info : infos) {
    const std::string name = str_cat("tensor ", quote(info.name));
    if (info.offset % step != 0)
      return invalid(
          str_cat(name, ": offset ", info.offset, ", expected a multiple of ", alignment));
    if (info.offset > data.size() || info.num_bytes > data.size() - info.offset)
      return invalid(str_cat(name, ": ", info.num_bytes, " bytes at ", info.offset,
                             ", but the file has only ", data.size(),
                             " bytes of tensor data; it is cut off"));
    info.tensor.bytes = data.subspan(info.offset, info.num_bytes);
    if (!tensors.emplace(info.name, std::move(info.tensor)).second)
      return invalid(name + " is there twice");
  }
  return {};
}

}  // namespace

std::string_view name_of(GgufValueType type) {
  static constexpr std::string_view kNames[] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                "i32", "f32", "bool", "string", "array",
                                                "u64", "i64", "f64"};
  const auto number = static_cast<uint32_t>(type);
  return number < std::size(kNames) ? kNames[number] : "?";
}

const GgufTensorType* find_gguf_tensor_type(uint32_t id) {
  const auto* found = std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                                   [&](const GgufTensorType& type) { return type.id == id; });
  return found == std::end(kTensorTypes) ? nullptr : found;
}

std::optional<DType> dtype_of(const GgufTensorType& type) {
  for (int i = 0; i <= static_cast<int>(DType::kIQ4_XS); ++i)
    if (name_of(static_cast<DType>(i)) == type.name) return static_cast<DType>(i);
  return std::nullopt;
}

const GgufTensorType* gguf_type_of(DType dtype) {
  const auto* found =
      std::find_if(std::begin(kTensorTypes), std::end(kTensorTypes),
                   [&](const GgufTensorType& type) { return type.name == name_of(dtype); });
  return found == std::end(kTensorTypes) ? nullptr : found;
}

std::optional<bool> GgufValue::as_bool() const {
  if (type_ != GgufValueType::kBool) return std::nullopt;
  return load<uint8_t>(bytes_) != 0;
}

std::optional<int64_t> GgufValue::as_int() const {
  using enum GgufValueType;
  switch (type_) {
    case kU8:
      return load<uint8_t>(bytes_);
    case kI8:
      return load<int8_t>(bytes_);
    case kU16:
      return load<uint16_t>(bytes_);
    case kI16:
      return load<int16_t>(bytes_);
    case kU32:
      return load<uint32_t>(bytes_);
    case kI32:
      return load<int32_t>(bytes_);
    case kI64:
      return load<int64_t>(bytes_);
    case kU64: {
      const auto value = load<uint64_t>(bytes_);
      if (value > uint64_t{INT64_MAX}) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> GgufValue::as_float() const {
  if (type_ == GgufValueType::kF32) return load<float>(bytes_);
  if (type_ == GgufValueType::kF64) return load<double>(bytes_);
  if (const auto integer = as_int()) return static_cast<double>(*integer);
  return std::nullopt;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type_ != GgufValueType::kString) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(bytes_.data()) + kStringPrefix,
                          bytes_.size() - kStringPrefix);
}

std::optional<GgufArray> GgufValue::as_array() const {
  if (type_ != GgufValueType::kArray) return std::nullopt;
  return GgufArray(GgufValueType{load<uint32_t>(bytes_)}, load<uint64_t>(bytes_, 4),
                   bytes_.subspan(kArrayPrefix));
}

GgufArray::Iterator::Iterator(GgufValueType type, uint64_t left, std::span<const std::byte> rest)
    : type_(type), left_(left), rest_(rest) {
  if (left_ == 0) return;
  size_ = value_size(type_, rest_);
  if (size_ == kBad) left_ = 0;
}

GgufValue GgufArray::Iterator::operator*() const { return {type_, rest_.first(size_)}; }

GgufArray::Iterator& GgufArray::Iterator::operator++() {
  *this = Iterator(type_, left_ - 1, rest_.subspan(size_));
  return *this;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> file) {
  Cursor cursor(file);
  G4_ASSIGN_OR_RETURN(const Header header, read_header(cursor));
  GgufFile result;
  G4_RETURN_IF_ERROR(read_metadata(cursor, header.num_metadata, result.metadata_));
  int64_t alignment = 32;
  if (const GgufValue* value = result.find("general.alignment")) {
    alignment = value->as_int().value_or(0);
    if (alignment < 1 || alignment > kMaxAlignment)
      return invalid(
          str_cat("metadata \"general.alignment\": expected an integer from 1 to ", kMaxAlignment));
  }
  G4_RETURN_IF_ERROR(read_tensors(cursor, header.num_tensors, alignment, file, result.tensors_));
  return result;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

namespace {

// The value of `key`, read by one of the as_… methods.
template <typename T>
Result<T> get(const GgufFile& file, std::string_view key, std::string_view expected,
              std::optional<T> (GgufValue::*read)() const) {
  const GgufValue* value = file.find(key);
  if (value == nullptr)
    return Error{ErrorCode::kNotFound, str_cat("metadata ", quote(key), " is missing")};
  const std::optional<T> result = (value->*read)();
  if (!result)
    return invalid(str_cat("metadata ", quote(key), ": expected ", expected, ", found a ",
                           name_of(value->type())));
  return *result;
}

}  // namespace

Result<bool> GgufFile::get_bool(std::string_view key) const {
  return get(*this, key, "a bool", &GgufValue::as_bool);
}
Result<int64_t> GgufFile::get_int(std::string_view key) const {
  return get(*this, key, "an integer", &GgufValue::as_int);
}
Result<double> GgufFile::get_float(std::string_view key) const {
  return get(*this, key, "a number", &GgufValue::as_float);
}
Result<std::string_view> GgufFile::get_string(std::string_view key) const {
  return get(*this, key, "a string", &GgufValue::as_string);
}

Result<GgufArray> GgufFile::get_array(std::string_view key, GgufValueType element_type) const {
  G4_ASSIGN_OR_RETURN(const GgufArray array, get(*this, key, "an array", &GgufValue::as_array));
  if (array.element_type() != element_type)
    return invalid(str_cat("metadata ", quote(key), ": expected an array of ",
                           name_of(element_type), ", found one of ",
                           name_of(array.element_type())));
  return array;
}

Result<std::vector<int64_t>> GgufFile::get_ints(std::string_view key) const {
  std::vector<int64_t> integers;
  const auto append = [&](const GgufValue& value) {
    const std::optional<int64_t> integer =
        value.as_bool() ? std::optional<int64_t>(*value.as_bool()) : value.as_int();
    if (integer) integers.push_back(*integer);
    return integer.has_value();
  };
  const auto wrong = [&](GgufValueType type) {
    return invalid(
        str_cat("metadata ", quote(key), ": expected integers, found a ", name_of(type)));
  };
  const GgufValue* value = find(key);
  if (value == nullptr || value->type() != GgufValueType::kArray) {
    if (value != nullptr && value->as_bool()) return std::vector<int64_t>{*value->as_bool()};
    G4_ASSIGN_OR_RETURN(const int64_t integer, get_int(key));
    return std::vector<int64_t>{integer};
  }
  const GgufArray array = *value->as_array();
  for (const GgufValue element : array)
    if (!append(element)) return wrong(element.type());
  return integers;
}

}  // namespace gemma4::io
