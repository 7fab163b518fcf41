// The configuration of the vision and audio towers as a projector file states it: partly in its
// metadata (`clip.…`), partly by which tensors it has and how large they are.
#pragma once

#include "base/result.h"
#include "io/gguf_parts.h"
#include "io/gguf_writer.h"
#include "model/config.h"

namespace gemma4::model {

// Fills `vision`, `audio` and `model_type`; `text.hidden_size` becomes the width that the projector
// puts out, that of its text model. Errors name the key or tensor: kUnsupported for a file that is
// no projector or that of another model, kNotFound and kInvalidData for missing and impossible
// values.
Result<Config> read_projector_config(const io::GgufParts& parts);

// The other way round, as other engines expect it. Needs one tower at least.
void add_projector_config(const Config& config, io::GgufHeader& header);

}  // namespace gemma4::model
