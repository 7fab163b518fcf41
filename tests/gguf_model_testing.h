// A tiny golden's text model as a GGUF file that a test may damage before it is written.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/gguf_writer.h"
#include "model/gguf_export.h"
#include "tests/tiny_models.h"
#include "text/gguf_vocabulary.h"

namespace gemma4::testing {

class GgufModel {
 public:
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;
    DType dtype;
    std::string bytes;

    std::string rows(int64_t begin, int64_t count) const {
      const auto stride = static_cast<size_t>(row_bytes(dtype, shape.back()));
      return bytes.substr(static_cast<size_t>(begin) * stride, static_cast<size_t>(count) * stride);
    }
  };
  using AddMetadata = std::function<void(const std::string& key, io::GgufHeader& header)>;

  // Matrices in the golden's BF16, or widened to F32; everything else F32, as files have it.
  explicit GgufModel(const std::string& golden, DType matrices = DType::kBF16);

  template <typename T>
  void set(const std::string& key, T value) {
    metadata[key] = [value](const std::string& k, io::GgufHeader& header) { header.add(k, value); };
  }
  template <typename T>
  void set(const std::string& key, std::vector<T> values) {
    metadata[key] = [values](const std::string& k, io::GgufHeader& header) {
      header.add(k, std::span<const T>(values));
    };
  }
  void set(const std::string& key, std::vector<bool> values) {
    metadata[key] = [values](const std::string& k, io::GgufHeader& header) {
      header.add(k, values);
    };
  }

  Tensor& find(const std::string& name) {
    const auto found = std::ranges::find(tensors, name, &Tensor::name);
    G4_CHECK(found != tensors.end());
    return *found;
  }
  Tensor take(const std::string& name) {
    Tensor tensor = find(name);
    std::erase_if(tensors, [&](const Tensor& other) { return other.name == name; });
    return tensor;
  }

  void write(const std::string& path) const {
    io::GgufHeader header;
    for (const auto& [key, add] : metadata) add(key, header);
    write(path, header, tensors);
  }
  // The parts NAME-00001-of-00002.gguf and NAME-00002-of-00002.gguf.
  void write_split(const std::string& stem) const;

  std::map<std::string, AddMetadata> metadata;
  std::vector<Tensor> tensors;

 private:
  static void write(const std::string& path, io::GgufHeader& header,
                    std::span<const Tensor> tensors);
  std::string config_file_;  // where the first metadata are read from
};

inline void GgufModel::write(const std::string& path, io::GgufHeader& header,
                             std::span<const Tensor> tensors) {
  for (const Tensor& tensor : tensors) header.add_tensor(tensor.name, tensor.shape, tensor.dtype);
  auto writer = io::GgufWriter::create(path, header);
  G4_CHECK(writer.ok());
  for (const Tensor& tensor : tensors)
    G4_CHECK(writer.value().write(std::as_bytes(std::span(tensor.bytes))).ok());
  G4_CHECK(writer.value().commit().ok());
}

inline void GgufModel::write_split(const std::string& stem) const {
  const size_t half = tensors.size() / 2;
  for (const uint32_t part : {0u, 1u}) {
    io::GgufHeader header;
    header.add("split.no", part);
    header.add("split.count", 2u);
    header.add("split.tensors.count", static_cast<uint32_t>(tensors.size()));
    if (part == 0)
      for (const auto& [key, add] : metadata) add(key, header);
    const auto all = std::span(tensors);
    write(stem + (part == 0 ? "-00001-of-00002.gguf" : "-00002-of-00002.gguf"), header,
          part == 0 ? all.first(half) : all.subspan(half));
  }
}

inline GgufModel::GgufModel(const std::string& golden, DType matrices) {
  const auto model = load_tiny(golden);
  const model::Config& config = model->config();
  io::GgufHeader header;
  header.add("general.architecture", "gemma4");
  G4_CHECK(model::add_gguf_config(config, header).ok());
  G4_CHECK(
      text::add_synthetic_vocabulary(config.text.vocab_size, config.placeholder_token_ids, header)
          .ok());
  // Through a file, which is how to take a header apart again.
  const std::string path = ::testing::TempDir() + "header-" + golden + ".gguf";
  write(path, header, {});
  config_file_ = io::read_file(path).value();
  std::remove(path.c_str());
  const auto parsed = io::GgufFile::parse(std::as_bytes(std::span(config_file_)));
  for (const auto& [key, value] : parsed.value().metadata()) {
    const std::string_view bytes(reinterpret_cast<const char*>(value.bytes().data()),
                                 value.bytes().size());
    metadata[std::string(key)] = [type = value.type(), copy = std::string(bytes)](
                                     const std::string& k, io::GgufHeader& out) {
      out.add(k, io::GgufValue(type, std::as_bytes(std::span(copy))));
    };
  }

  const auto add = [&](const std::string& name, std::vector<int64_t> shape, DType dtype,
                       std::span<const std::byte> bytes) {
    tensors.push_back({name, std::move(shape), dtype,
                       std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())});
  };
  const std::vector<float> divisors = model::rope_divisors(config.text);
  add("rope_freqs.weight", {static_cast<int64_t>(divisors.size())}, DType::kF32,
      std::as_bytes(std::span(divisors)));
  for (const auto& entry : model::gguf_tensors(config, model->text_prefix())) {
    const io::Tensor& tensor = *model->store().find(entry.checkpoint_name);
    if (entry.is_matrix && matrices == tensor.dtype) {
      add(entry.name, entry.shape, tensor.dtype, tensor.bytes);
    } else {
      const std::vector<float> values = io::read_floats(tensor).value();
      add(entry.name, entry.shape, DType::kF32, std::as_bytes(std::span(values)));
    }
  }
}

}  // namespace gemma4::testing
