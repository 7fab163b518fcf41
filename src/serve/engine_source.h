// The engine's thread as the server sees it.
#pragma once

#include <memory>
#include <utility>

#include "engine/engine_thread.h"
#include "serve/token_source.h"

namespace gemma4::serve {

class EngineSource final : public TokenSource {
 public:
  explicit EngineSource(std::unique_ptr<engine::EngineThread> thread)
      : thread_(std::move(thread)) {}

  Result<engine::SequenceId> submit(engine::Request request, Sink sink) override {
    return thread_->submit(std::move(request), std::move(sink));
  }
  void cancel(engine::SequenceId id) override { thread_->cancel(id); }
  void cancel_all() override { thread_->cancel_all(); }
  Stats stats() const override { return stats_of(thread_->stats()); }
  static Stats stats_of(const engine::Engine::Stats& from) {
    return {.running = from.running,
            .waiting = from.waiting,
            .waiting_embeddings = from.waiting_embeddings,
            .steps = from.steps,
            .prompt_tokens = from.prompt_tokens,
            .cached_prompt_tokens = from.cached_prompt_tokens,
            .computed_tokens = from.computed_tokens,
            .generated_tokens = from.generated_tokens,
            .kv_blocks_used = from.kv_blocks_used,
            .kv_blocks_total = from.kv_blocks_total,
            .step_seconds_total = from.step_seconds_total};
  }

 private:
  std::unique_ptr<engine::EngineThread> thread_;
};

}  // namespace gemma4::serve
