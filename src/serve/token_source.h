// Where tokens come from: the engine on its thread, or a script in tests.
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "engine/engine.h"

namespace gemma4::serve {

class TokenSource {
 public:
  // Called on the source's thread for every event of a sequence, which ends with exactly one that
  // has a finish reason; must be quick.
  using Sink = std::function<void(const engine::Event&)>;

  struct Stats {
    int64_t running = 0, waiting = 0;  // sequences
    int64_t waiting_embeddings = 0;    // of those that wait
    int64_t steps = 0;
    int64_t prompt_tokens = 0;
    int64_t cached_prompt_tokens = 0;  // of them, those found in the prefix cache
    int64_t computed_tokens = 0;       // fed to the model, of prompts and answers
    int64_t generated_tokens = 0;
    int64_t kv_blocks_used = 0, kv_blocks_total = 0;
    double step_seconds_total = 0;
  };

  virtual ~TokenSource() = default;
  // Any thread may call these. Errors of submit: those of Engine::submit.
  virtual Result<engine::SequenceId> submit(engine::Request request, Sink sink) = 0;
  virtual void cancel(engine::SequenceId id) = 0;
  // Ends all sequences as cancelled; none is taken after it.
  virtual void cancel_all() = 0;
  virtual Stats stats() const = 0;
};

}  // namespace gemma4::serve
