// Writes GGUF files, version 3: metadata and tensors are announced first, then the tensors' bytes
// are streamed in that order. The same calls give the same bytes.
//
//   io::GgufHeader header;
//   header.add("general.architecture", "gemma4");
//   header.add_tensor("output_norm.weight", {1536}, DType::kF32);
//   G4_ASSIGN_OR_RETURN(auto writer, io::GgufWriter::create(path, header));
//   G4_RETURN_IF_ERROR(writer.write(bytes));  // of all tensors, cut as you like
//   G4_RETURN_IF_ERROR(writer.commit());      // now the file is there
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "io/atomic_file.h"
#include "io/gguf.h"

namespace gemma4::io {

class GgufHeader {
 public:
  static constexpr uint64_t kAlignment = 32;  // of tensors; what readers assume where none is given

  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }
  void add(std::string_view key, uint32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, std::same_as<bool> auto value) { add_bool(key, value); }
  void add(std::string_view key, std::span<const int32_t> values);
  void add(std::string_view key, std::span<const float> values);
  void add(std::string_view key, const std::vector<bool>& values);
  void add(std::string_view key, std::span<const std::string_view> texts);
  void add(std::string_view key, const GgufValue& value);  // as it stands in another file

  // `shape` as everywhere here, row-major; rows must be whole blocks.
  void add_tensor(std::string_view name, std::span<const int64_t> shape, DType dtype);

  uint64_t tensor_bytes() const;  // of all tensors, padding not counted

 private:
  friend class GgufWriter;
  void add_bool(std::string_view key, bool value);
  void begin(std::string_view key, GgufValueType type);
  void begin_array(std::string_view key, GgufValueType element_type, uint64_t count);
  std::string file_header() const;

  uint64_t num_metadata_ = 0;
  std::string metadata_, tensors_;
  std::vector<uint64_t> sizes_;  // in bytes, by tensor
  uint64_t data_bytes_ = 0;      // with the padding
};

class GgufWriter {
 public:
  // Writes the header. Nothing appears at `path` before commit().
  static Result<GgufWriter> create(const std::string& path, const GgufHeader& header);
  // Appends bytes of the current tensor(s), in order; padding is added between them.
  Status write(std::span<const std::byte> bytes);
  // Checks that exactly the announced bytes were written and puts the file in place.
  Status commit();

 private:
  GgufWriter(AtomicFile file, std::vector<uint64_t> sizes)
      : file_(std::move(file)), sizes_(std::move(sizes)) {}
  Status pad();
  AtomicFile file_;
  std::vector<uint64_t> sizes_;
  size_t tensor_ = 0;     // the one being written
  uint64_t written_ = 0;  // of it
};

}  // namespace gemma4::io
