// Writes small GGUF files for tests and for the seeds of fuzzers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.h"

namespace gemma4::io::testing {

class GgufBuilder {
 public:
  explicit GgufBuilder(uint32_t version = 3) : version_(version) {}

  GgufBuilder& add(std::string_view key, std::string_view text) {
    return begin(key, GgufValueType::kString).text(metadata_, text);
  }
  GgufBuilder& add(std::string_view key, uint32_t value) {
    return begin(key, GgufValueType::kU32).number(metadata_, value);
  }
  GgufBuilder& add(std::string_view key, float value) {
    return begin(key, GgufValueType::kF32).number(metadata_, std::bit_cast<uint32_t>(value));
  }
  GgufBuilder& add_bool(std::string_view key, bool value) {
    return begin(key, GgufValueType::kBool).number(metadata_, static_cast<uint8_t>(value));
  }
  GgufBuilder& add(std::string_view key, const std::vector<int32_t>& values) {
    begin_array(key, GgufValueType::kI32, values.size());
    for (const int32_t value : values) number(metadata_, value);
    return *this;
  }
  GgufBuilder& add(std::string_view key, const std::vector<std::string>& values) {
    begin_array(key, GgufValueType::kString, values.size());
    for (const std::string& value : values) text(metadata_, value);
    return *this;
  }
  // A value of any type, given as the bytes of the file.
  GgufBuilder& add_raw(std::string_view key, uint32_t type, std::string_view bytes) {
    begin(key, GgufValueType{type});
    metadata_ += bytes;
    return *this;
  }
  // Describes a tensor; its data is what add_data adds.
  GgufBuilder& add_tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                          uint64_t offset) {
    ++num_tensors_;
    text(infos_, name).number(infos_, static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) number(infos_, dim);
    return number(infos_, type).number(infos_, offset);
  }
  GgufBuilder& add_data(size_t num_bytes) {
    data_.append(num_bytes, '\x2A');
    return *this;
  }

  // The file, its data aligned to 32 bytes.
  std::string build() {
    std::string file = "GGUF";
    number(file, version_).number(file, num_tensors_).number(file, num_metadata_);
    file += metadata_ + infos_;
    if (!data_.empty()) file.resize((file.size() + 31) / 32 * 32);
    return file + data_;
  }

 private:
  GgufBuilder& begin(std::string_view key, GgufValueType type) {
    ++num_metadata_;
    return text(metadata_, key).number(metadata_, static_cast<uint32_t>(type));
  }
  void begin_array(std::string_view key, GgufValueType element_type, uint64_t count) {
    begin(key, GgufValueType::kArray).number(metadata_, static_cast<uint32_t>(element_type));
    number(metadata_, count);
  }
  GgufBuilder& text(std::string& out, std::string_view text) {
    number(out, uint64_t{text.size()});
    out += text;
    return *this;
  }
  template <typename T>
  GgufBuilder& number(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }

  uint32_t version_;
  uint64_t num_tensors_ = 0, num_metadata_ = 0;
  std::string metadata_, infos_, data_;
};

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace gemma4::io::testing
