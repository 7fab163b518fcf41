// Any bytes as a GGUF file: every value and tensor that is handed out can be read.
#include <cstdint>
#include <numeric>
#include <span>

#include "base/check.h"
#include "io/gguf.h"
#include "text/tokenizer.h"

namespace {

using gemma4::io::GgufValue;

// Touches all bytes of a value, so that the address sanitizer sees them.
uint64_t read_all(const GgufValue& value) {
  uint64_t sum = static_cast<uint64_t>(value.as_bool().value_or(false));
  sum += static_cast<uint64_t>(value.as_int().value_or(0));
  if (const auto text = value.as_string()) sum = std::accumulate(text->begin(), text->end(), sum);
  if (const auto array = value.as_array()) {
    uint64_t num_elements = 0;
    for (const GgufValue element : *array) {
      sum += read_all(element);
      ++num_elements;
    }
    G4_CHECK_EQ(num_elements, array->size());
  }
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  const auto gguf = gemma4::io::GgufFile::parse(file);
  if (!gguf.ok()) return 0;
  uint64_t sum = 0;
  for (const auto& [key, value] : gguf.value().metadata()) {
    sum += read_all(value) + key.size();
    (void)gguf.value().get_ints(key);
  }
  for (const auto& [name, tensor] : gguf.value().tensors()) {
    G4_CHECK_EQ(static_cast<int64_t>(tensor.bytes.size()),
                tensor.num_elements / tensor.type->block_elements * tensor.type->block_bytes);
    for (const std::byte byte : tensor.bytes) sum += static_cast<uint64_t>(byte);
  }
  volatile uint64_t sink = sum;
  (void)sink;
  (void)gemma4::text::Tokenizer::from_gguf(file);
  return 0;
}
