// A whole checkpoint: config.json, a zero byte, then a safetensors file. Refused with one error, or
// a model that can run. Inputs that only describe a model ("fill" instead of the file) get the
// tensors that their configuration asks for, so that the forward pass is reached too.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/strings.h"
#include "fuzz/model_run.h"
#include "model/formula_weights.h"
#include "model/model.h"
#include "model/tensor_list.h"

namespace {

using namespace gemma4;         // NOLINT: one short file
using namespace gemma4::model;  // NOLINT

std::string temporary_path() { return str_cat("/tmp/checkpoint_fuzz.", getpid(), ".safetensors"); }

// The file that the configuration asks for; empty when it would be large.
std::string filled(const Config& config) {
  if (config.text.num_hidden_layers > 16) return {};
  TextWeights weights;
  std::string header = "{", data;
  int64_t total = 0;
  for (const TensorEntry& tensor : text_tensors(config, default_text_prefix(config), weights)) {
    int64_t size = 1;
    for (const int64_t dim : tensor.shape)
      if (dim > fuzz::kMostElements || (size *= dim) > fuzz::kMostElements) return {};
    if ((total += size) > fuzz::kMostElements) return {};
    std::string bytes(static_cast<size_t>(2 * size), '\0');
    formula_bf16(tensor.name, tensor.shape, 0,
                 {reinterpret_cast<uint16_t*>(bytes.data()), static_cast<size_t>(size)});
    header += str_cat(header.size() > 1 ? "," : "", quote(tensor.name, 1000),
                      ":{\"dtype\":\"BF16\",\"shape\":", io::shape_string(tensor.shape),
                      ",\"data_offsets\":[", data.size(), ",", data.size() + bytes.size(), "]}");
    data += bytes;
  }
  header += "}";
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  auto config = parse_config(input.substr(0, end));
  if (!config.ok()) return 0;
  std::string file(input.substr(std::min(end + 1, input.size())));
  if (file == "fill") file = filled(config.value());
  if (file.empty()) return 0;

  static const std::string path = temporary_path();
  std::FILE* out = std::fopen(path.c_str(), "wb");
  G4_CHECK(out != nullptr);
  G4_CHECK_EQ(std::fwrite(file.data(), 1, file.size(), out), file.size());
  std::fclose(out);
  auto store = io::TensorStore::open(path);
  ::unlink(path.c_str());  // the map stays
  if (!store.ok()) return 0;
  const auto model = Model::create(std::move(config).value(), std::move(store).value());
  if (model.ok())
    fuzz::run(model.value());
  else
    G4_CHECK(!model.error().message.empty());
  return 0;
}
