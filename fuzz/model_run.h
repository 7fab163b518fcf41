// One step of a small model that a fuzzer made: whatever loads must run.
#pragma once

#include <cstdint>

#include "base/check.h"
#include "kernels/registry.h"
#include "model/model.h"
#include "model/text_forward.h"

namespace gemma4::fuzz {

inline constexpr int64_t kMostElements = 200'000;  // larger models cost time and find nothing

inline void run(const model::Model& loaded) {
  using namespace model;  // NOLINT: one short function
  const TextConfig& text = loaded.config().text;
  if (loaded.text_size().parameters > static_cast<uint64_t>(kMostElements)) return;
  constexpr int64_t kTokens = 3;
  static const auto device =
      kernels::make_cpu_device(kernels::all_cpu_tables().front(), {.num_threads = 1});
  auto cache =
      KvCache::create(text, KvCache::blocks_needed(text, kTokens, kTokens), DType::kF32, *device);
  G4_CHECK(cache.ok());
  KvSequence sequence;
  G4_CHECK(cache.value().reserve(sequence, kTokens));
  const auto last = static_cast<int32_t>(text.vocab_size - 1);
  const int32_t ids[] = {0, last, last / 2};
  const int32_t wanted[] = {2};
  Batch batch;
  batch.add(loaded, sequence, ids, wanted);
  Arena arena(workspace_bytes(loaded, kTokens, 1));
  const ops::Context ctx{.kernels = &device->table(),
                         .queue = device->queue(),
                         .arena = &arena,
                         .device = device.get()};
  const View logits = text_forward(ctx, loaded, host_inputs(batch), cache.value());
  G4_CHECK_EQ(logits.size(), text.vocab_size);
}

}  // namespace gemma4::fuzz
