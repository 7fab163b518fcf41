// The other way round from gguf_config.h and gguf_checkpoint.h: what a model's GGUF file says.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "io/gguf_writer.h"
#include "model/config.h"

namespace gemma4::model {

// Adds the `gemma4.…` keys of the text decoder, as the reader here and other engines expect them.
// kUnsupported, naming the key of config.json, for what these keys cannot say.
Status add_gguf_config(const Config& config, io::GgufHeader& header);
// The same of a drafter: `gemma4-assistant.…`.
Status add_gguf_drafter_config(const DrafterConfig& drafter, io::GgufHeader& header);

// Adds what read_gguf_generation reads.
void add_gguf_generation(const GenerationDefaults& generation, io::GgufHeader& header);

// One tensor of the file.
struct GgufTensorEntry {
  std::string name;             // GGUF's
  std::string checkpoint_name;  // with the prefix
  std::vector<int64_t> shape;   // row-major
  // Whether other types than F32 make sense: false for vectors and for the router, which decides
  // rather than computes.
  bool is_matrix = false;
  bool is_ids = false;  // integers: I32 in the file
};
// All weights of the text decoder, in the order of text_tensors. Not among them: rope_freqs.
std::vector<GgufTensorEntry> gguf_tensors(const Config& config, const std::string& prefix);

// All weights of a drafter, in the checkpoint's order.
std::vector<GgufTensorEntry> gguf_drafter_tensors(const DrafterConfig& drafter);

// The tensor rope_freqs, [Dh/2]: what the full layers' frequencies are divided by.
std::vector<float> rope_divisors(const TextConfig& text);

}  // namespace gemma4::model
