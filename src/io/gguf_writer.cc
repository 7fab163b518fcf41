#include "io/gguf_writer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"

namespace gemma4::io {
namespace {

constexpr uint32_t kVersion = 3;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  out += text;
}

uint64_t padded(uint64_t bytes) {
  return (bytes + GgufHeader::kAlignment - 1) / GgufHeader::kAlignment * GgufHeader::kAlignment;
}

}  // namespace

void GgufHeader::begin(std::string_view key, GgufValueType type) {
  ++num_metadata_;
  put_text(metadata_, key);
  put(metadata_, static_cast<uint32_t>(type));
}

void GgufHeader::begin_array(std::string_view key, GgufValueType element_type, uint64_t count) {
  begin(key, GgufValueType::kArray);
  put(metadata_, static_cast<uint32_t>(element_type));
  put(metadata_, count);
}

void GgufHeader::add(std::string_view key, std::string_view text) {
  begin(key, GgufValueType::kString);
  put_text(metadata_, text);
}

void GgufHeader::add(std::string_view key, uint32_t value) {
  begin(key, GgufValueType::kU32);
  put(metadata_, value);
}

void GgufHeader::add(std::string_view key, float value) {
  begin(key, GgufValueType::kF32);
  put(metadata_, value);
}

void GgufHeader::add_bool(std::string_view key, bool value) {
  begin(key, GgufValueType::kBool);
  put(metadata_, static_cast<uint8_t>(value));
}

void GgufHeader::add(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufValueType::kI32, values.size());
  for (const int32_t value : values) put(metadata_, value);
}

void GgufHeader::add(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufValueType::kF32, values.size());
  for (const float value : values) put(metadata_, value);
}

void GgufHeader::add(std::string_view key, const std::vector<bool>& values) {
  begin_array(key, GgufValueType::kBool, values.size());
  for (const bool value : values) put(metadata_, static_cast<uint8_t>(value));
}

void GgufHeader::add(std::string_view key, std::span<const std::string_view> texts) {
  begin_array(key, GgufValueType::kString, texts.size());
  for (const std::string_view text : texts) put_text(metadata_, text);
}

void GgufHeader::add(std::string_view key, const GgufValue& value) {
  begin(key, value.type());
  metadata_.append(reinterpret_cast<const char*>(value.bytes().data()), value.bytes().size());
}

void GgufHeader::add_tensor(std::string_view name, std::span<const int64_t> shape, DType dtype) {
  const GgufTensorType* type = gguf_type_of(dtype);
  G4_CHECK(type != nullptr && !shape.empty());
  G4_CHECK_EQ(shape.back() % type->block_elements, 0);
  int64_t bytes = row_bytes(dtype, shape.back());
  for (const int64_t dim : shape.first(shape.size() - 1)) bytes *= dim;

  put_text(tensors_, name);
  put(tensors_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i-- > 0;) put(tensors_, static_cast<uint64_t>(shape[i]));
  put(tensors_, type->id);
  put(tensors_, data_bytes_);
  sizes_.push_back(static_cast<uint64_t>(bytes));
  data_bytes_ += padded(sizes_.back());
}

uint64_t GgufHeader::tensor_bytes() const {
  uint64_t total = 0;
  for (const uint64_t size : sizes_) total += size;
  return total;
}

std::string GgufHeader::file_header() const {
  std::string file = "GGUF";
  put(file, kVersion);
  put(file, uint64_t{sizes_.size()});
  put(file, num_metadata_);
  file += metadata_ + tensors_;
  file.resize(padded(file.size()), '\0');
  return file;
}

Result<GgufWriter> GgufWriter::create(const std::string& path, const GgufHeader& header) {
  G4_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  G4_RETURN_IF_ERROR(file.write(header.file_header()));
  return GgufWriter(std::move(file), header.sizes_);
}

Status GgufWriter::pad() {
  constexpr std::array<std::byte, GgufHeader::kAlignment> kZeros{};
  const uint64_t written = file_.bytes_written();
  return file_.write(std::span(kZeros).first(padded(written) - written));
}

Status GgufWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    G4_CHECK_LT(tensor_, sizes_.size());
    const auto count =
        static_cast<size_t>(std::min<uint64_t>(bytes.size(), sizes_[tensor_] - written_));
    G4_RETURN_IF_ERROR(file_.write(bytes.first(count)));
    bytes = bytes.subspan(count);
    written_ += count;
    if (written_ < sizes_[tensor_]) continue;
    G4_RETURN_IF_ERROR(pad());
    ++tensor_;
    written_ = 0;
  }
  return {};
}

Status GgufWriter::commit() {
  G4_CHECK_EQ(tensor_, sizes_.size());
  return file_.commit();
}

}  // namespace gemma4::io
