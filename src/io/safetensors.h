// Safetensors files: a JSON header with names, types and shapes, then raw little-endian tensors.
// Reads single files and sharded checkpoint folders through a memory map; writes one file at a
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"

namespace gemma4::io {

struct Tensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;        // row-major; empty = a scalar with one element
  std::span<const std::byte> bytes;  // in the map; alignment is not guaranteed

  int64_t size() const;  // number of elements
};

// "[262144, 1536]"
std::string shape_string(std::span<const int64_t> shape);

using TensorMap = std::map<std::string, Tensor, std::less<>>;

// Parses the bytes of one file. The tensors point into `file`. Errors (kInvalidData) name the
// tensor or key: truncated file, header too long, unknown type, shape that does not match its
// bytes, ranges that overlap, leave holes or lie outside the file, duplicate names.
Result<TensorMap> parse_safetensors(std::span<const std::byte> file);

// All tensors of a checkpoint, with the maps that hold them.
class TensorStore {
 public:
  // `path` is a .safetensors file, or a folder with model.safetensors.index.json (all its shards
  // are opened) or else model.safetensors.
  static Result<TensorStore> open(const std::string& path);
  // The same of another container: `tensors` point into `files` or into `copies`.
  TensorStore(std::string path, std::vector<MappedFile> files,
              std::vector<std::vector<std::byte>> copies, TensorMap tensors)
      : path_(std::move(path)),
        files_(std::move(files)),
        copies_(std::move(copies)),
        tensors_(std::move(tensors)) {}
  TensorStore() = default;

  // Takes the tensors of another file; names must not be in both.
  void add(TensorStore other);
  // Whether there was a tensor `from`; it is `to` now, a name that nothing had.
  bool rename(const std::string& from, const std::string& to);

  const Tensor* find(std::string_view name) const;  // null when absent
  const TensorMap& tensors() const { return tensors_; }
  const std::string& path() const { return path_; }
  uint64_t file_bytes() const;
  // Gives back the memory that holds a tensor's bytes; what is touched again is read again.
  void forget(const Tensor& tensor) const;

 private:
  Status add_file(const std::string& path);
  Status add_shards(const std::string& folder, const std::string& index_path);
  std::string path_;
  std::vector<MappedFile> files_;
  std::vector<std::vector<std::byte>> copies_;  // of what does not stand in a file as it is needed
  TensorMap tensors_;
};

// Elements of a numeric tensor. Errors: kInvalidData when the type is not one of those named.
Result<std::vector<float>> read_floats(const Tensor& tensor);      // F32, F16, BF16
Result<std::vector<int64_t>> read_integers(const Tensor& tensor);  // I64, I32, U8, BOOL

// Writes one file: the header first, then each tensor's bytes in the order announced.
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    DType dtype = DType::kBF16;
    std::vector<int64_t> shape;
  };
  // Announces all tensors and writes the header. Nothing appears at `path` before commit().
  static Result<SafetensorsWriter> create(const std::string& path,
                                          const std::vector<Entry>& entries);
  // Appends bytes of the current tensor(s), in order.
  Status write(std::span<const std::byte> bytes) { return file_.write(bytes); }
  // Checks that exactly the announced bytes were written and puts the file in place.
  Status commit();

 private:
  SafetensorsWriter(AtomicFile file, uint64_t total_bytes)
      : file_(std::move(file)), total_bytes_(total_bytes) {}
  AtomicFile file_;
  uint64_t total_bytes_;
};

}  // namespace gemma4::io
