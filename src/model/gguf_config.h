// The configuration that a GGUF file states: partly in its metadata, partly by which tensors it
// has.
#pragma once

#include <string_view>

#include "base/result.h"
#include "io/gguf_parts.h"
#include "model/config.h"

namespace gemma4::model {

// Errors name the key or tensor: kUnsupported for another architecture or an option that Gemma 4
// does not have, kNotFound and kInvalidData for missing and impossible values.
Result<Config> read_gguf_config(const io::GgufParts& parts);

// The same of a drafter's file, in its present and in its old dialect.
Result<DrafterConfig> read_gguf_drafter_config(const io::GgufParts& parts);

// Whether general.architecture is that of a drafter.
bool is_drafter_architecture(std::string_view name);

// Sampling parameters and suppressed tokens; what is absent keeps the family's published defaults.
Result<GenerationDefaults> read_gguf_generation(const io::GgufFile& file);

}  // namespace gemma4::model
