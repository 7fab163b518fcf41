// What is asked of the engine, and what it says of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_constraint.h"
#include "engine/sampler.h"
#include "model/kv_cache.h"
#include "model/soft_tokens.h"

namespace gemma4::engine {

using SequenceId = uint64_t;

struct Request {
  std::vector<int32_t> prompt;  // at least one token
  // Rows of pictures, films and sounds, in order of position; there the prompt has placeholders.
  std::vector<model::SoftSpan> media = {};
  int64_t max_tokens = 256;  // > 0; cut to what the context leaves
  SamplingParams sampling;
  std::vector<int32_t> stop_token_ids;  // generation ends with the first of them
  // What the answer may consist of; null: anything. This request's own.
  std::shared_ptr<TokenConstraint> constraint = {};
  // Nothing is generated: its only event has the embedding of the prompt. Only where
  // EngineOptions::embeddings says so; all of the prompt is computed, whatever the cache knows.
  bool wants_embedding = false;
};

// kError: the constraint failed; what was generated does not have its form. Of an EngineThread also
// a failed device.
enum class FinishReason { kStop, kLength, kCancelled, kError };
std::string_view name_of(FinishReason reason);  // "stop", "length", "cancelled", "error"

struct Event {
  SequenceId sequence = 0;
  std::optional<SampledToken> token;   // absent if cancelled, or failed before it
  std::optional<FinishReason> finish;  // on the last event; a stop token comes with it
  std::optional<Error> error = {};     // with kError
  int64_t cached_prompt_tokens = 0;    // of its prompt, those that were not computed again
  // [D] of a request that wants it, with kStop: the mean over all tokens of the prompt of the last
  // layer's output after the final norm.
  std::vector<float> embedding = {};
};

// A request on its way.
struct Sequence {
  SequenceId id = 0;
  Request request;
  std::vector<int32_t> tokens;  // prompt, then what was generated
  std::vector<model::VisionBlock> blocks;
  model::KvSequence kv;
  std::optional<int64_t> cached_prompt_tokens = {};  // once it has run
  std::vector<int64_t> snapshots = {};               // lengths at which others may want to continue
  bool cancelled = false;
  std::vector<double> hidden_sum = {};  // [D] over the first kv.length tokens, for an embedding

  // Tokens that are not in the cache yet: the rest of the prompt, or 1 while generating.
  int64_t pending_tokens() const { return static_cast<int64_t>(tokens.size()) - kv.length; }
};

}  // namespace gemma4::engine
