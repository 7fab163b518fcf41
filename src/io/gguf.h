// GGUF files, versions 2 and 3: typed metadata and tensor descriptions. Nothing is copied; arrays
// of metadata are read where they lie. What the bytes of a quantised tensor mean is not known here.
//
//   G4_ASSIGN_OR_RETURN(const io::MappedFile map, io::MappedFile::open(path));
//   G4_ASSIGN_OR_RETURN(const io::GgufFile gguf, io::GgufFile::parse(map.bytes()));
//   G4_ASSIGN_OR_RETURN(const int64_t num_layers, gguf.get_int("gemma4.block_count"));
//   const io::GgufTensor* norm = gguf.find_tensor("output_norm.weight");
//
// All parts of a split model: io/gguf_parts.h. Writing: io/gguf_writer.h.
//
// Layout: header, metadata, tensor descriptions, padding, tensor data; all little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"

namespace gemma4::io {

enum class GgufValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

// "u32", "string" …; "?" for other numbers.
std::string_view name_of(GgufValueType type);

// One value, viewed in the file. The as_… give nothing for values of another kind.
class GgufValue {
 public:
  GgufValue(GgufValueType type, std::span<const std::byte> bytes) : type_(type), bytes_(bytes) {}

  GgufValueType type() const { return type_; }
  std::span<const std::byte> bytes() const { return bytes_; }  // as they stand in the file
  std::optional<bool> as_bool() const;
  // Any integer type; nothing for a u64 above 2^63 - 1.
  std::optional<int64_t> as_int() const;
  // f32, f64 and integers.
  std::optional<double> as_float() const;
  std::optional<std::string_view> as_string() const;  // any bytes: UTF-8 is not checked
  std::optional<class GgufArray> as_array() const;

 private:
  GgufValueType type_;
  std::span<const std::byte> bytes_;  // the whole value, its length prefix included
};

// The elements of an array, in order: for (GgufValue element : array). One step is a few
// instructions, also for strings. Elements may be arrays themselves.
class GgufArray {
 public:
  class Iterator {
   public:
    GgufValue operator*() const;
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    friend class GgufArray;
    Iterator(GgufValueType type, uint64_t left, std::span<const std::byte> rest);
    GgufValueType type_;
    uint64_t left_;                    // elements from here to the end
    std::span<const std::byte> rest_;  // their bytes
    size_t size_ = 0;                  // bytes of this element
  };

  GgufValueType element_type() const { return element_type_; }
  uint64_t size() const { return size_; }
  Iterator begin() const { return {element_type_, size_, bytes_}; }
  Iterator end() const { return {element_type_, 0, {}}; }

 private:
  friend class GgufValue;
  GgufArray(GgufValueType type, uint64_t size, std::span<const std::byte> bytes)
      : element_type_(type), size_(size), bytes_(bytes) {}
  GgufValueType element_type_;
  uint64_t size_;
  std::span<const std::byte> bytes_;
};

// A storage format of tensors: blocks of `block_elements` values in `block_bytes` bytes.
struct GgufTensorType {
  uint32_t id;
  std::string_view name;  // "Q4_K"
  int64_t block_elements;
  int64_t block_bytes;
};

// The format with this id; null for retired and unknown ids.
const GgufTensorType* find_gguf_tensor_type(uint32_t id);

// The element type that is stored this way; nothing for those that we have no kernels for.
std::optional<DType> dtype_of(const GgufTensorType& type);
// The other way round; null for types that GGUF files cannot hold.
const GgufTensorType* gguf_type_of(DType dtype);

struct GgufTensor {
  const GgufTensorType* type = nullptr;
  std::vector<int64_t> dims;         // fastest first: dims[0] is the row length; 1 to 4 of them
  int64_t num_elements = 0;          // whole blocks in every row
  std::span<const std::byte> bytes;  // num_elements / block_elements * block_bytes, in the file
};

class GgufFile {
 public:
  // `file` is the whole file and must outlive the result. Errors: kUnsupported for other versions
  // and byte orders; kInvalidData, naming the key or tensor, for everything that does not fit: cut
  // off, unknown types, names given twice, sizes that overflow, partial blocks, tensors outside the
  // file or not aligned.
  static Result<GgufFile> parse(std::span<const std::byte> file);

  using Metadata = std::map<std::string_view, GgufValue>;
  using Tensors = std::map<std::string_view, GgufTensor>;
  const Metadata& metadata() const { return metadata_; }
  const Tensors& tensors() const { return tensors_; }
  const GgufValue* find(std::string_view key) const;           // null when absent
  const GgufTensor* find_tensor(std::string_view name) const;  // null when absent

  // A required value of a certain kind. Errors, naming the key: kNotFound; kInvalidData for a value
  // of another type.
  Result<bool> get_bool(std::string_view key) const;
  Result<int64_t> get_int(std::string_view key) const;
  Result<double> get_float(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<GgufArray> get_array(std::string_view key, GgufValueType element_type) const;
  // Integers (bools count as 0 and 1) of an array, or of a single value as an array of one:
  // per-layer keys come in both forms.
  Result<std::vector<int64_t>> get_ints(std::string_view key) const;

 private:
  Metadata metadata_;
  Tensors tensors_;
};

}  // namespace gemma4::io
