// Recomputes the keys of a golden file and measures how far this build is from the reference.
#pragma once

#include <string>
#include <vector>

#include "apps/text_runner.h"
#include "io/safetensors.h"

namespace gemma4::apps {

struct KeyResult {
  std::string key;
  std::vector<int64_t> shape;
  bool computed = false;
  std::string problem;  // why it could not be computed
  bool exact = false;   // token ids: must be identical
  double relative_error = 0;  // ‖out − ref‖ / ‖ref‖; for exact keys, the share of ids that differ
  double tolerance = 0;
  int64_t ties = 0;  // tokens where the reference chose the other of two equally good ones
  bool passed() const { return computed && relative_error <= tolerance; }
};

struct VerifyOptions {
  std::string keys = "*";  // glob over key names
  double tolerance = 1e-3;
  int num_threads = 0;
  DType kv_type = DType::kF32;  // of the cache
  std::string sounds;           // the folder of the sounds that the golden was made with
  std::string pictures;         // the folder of its pictures
};

// Recomputes every key of `golden` that matches; keys that only name inputs are not results. Keys
// that this build cannot compute are reported, not skipped. Layouts:
// - the tiny goldens: "text.…", "audio.…", which is sound1.wav of options.sounds, and "image.…",
//   which are pictures of options.pictures;
// - end to end at real sizes: "input_ids", "positions", "logits", "last_hidden";
// - layer by layer: "layers.input_ids" and "layers.hidden", the reference's states before each
// layer
//   and after the final norm. Every layer runs from the reference's own state; the worst one
//   counts.
Result<std::vector<KeyResult>> verify_golden(std::shared_ptr<const model::Model> model,
                                             const io::TensorStore& golden,
                                             const VerifyOptions& options);

}  // namespace gemma4::apps
