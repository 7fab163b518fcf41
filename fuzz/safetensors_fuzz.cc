// Any bytes as a safetensors file: refused, or every tensor lies inside the file and can be read.
#include <cstdint>
#include <span>

#include "base/check.h"
#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file = std::as_bytes(std::span(data, size));
  const auto parsed = gemma4::io::parse_safetensors(file);
  if (!parsed.ok()) {
    G4_CHECK(!parsed.error().message.empty());
    return 0;
  }
  uint64_t total = 0, sum = 0;
  for (const auto& [name, tensor] : parsed.value()) {
    uint64_t elements = 1;
    for (const int64_t dim : tensor.shape) elements *= static_cast<uint64_t>(dim);
    G4_CHECK_EQ(elements * static_cast<uint64_t>(size_of(tensor.dtype)), tensor.bytes.size());
    total += tensor.bytes.size();
    for (const std::byte byte : tensor.bytes) sum += static_cast<uint64_t>(byte);
    if (const auto values = gemma4::io::read_floats(tensor); values.ok()) {
      G4_CHECK_EQ(values.value().size(), elements);
    }
    if (const auto values = gemma4::io::read_integers(tensor); values.ok()) {
      G4_CHECK_EQ(values.value().size(), elements);
    }
  }
  G4_CHECK_LE(total, size);  // the ranges do not overlap
  volatile uint64_t sink = sum;
  (void)sink;
  return 0;
}
