// What an engine takes of its device's memory, and what to say where that does not fit.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "kernels/device.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace gemma4::engine {

struct EngineOptions;

struct MemoryPlan {
  uint64_t weights_bytes = 0;  // there already; on a CPU in the map, shared with the page cache
  uint64_t kv_bytes = 0;
  uint64_t workspace_bytes = 0;
};

// Blocks in the tables of all sequences at full length.
model::KvCache::BlockCounts table_capacity(const model::Model& model, const EngineOptions& options);
// Blocks of the cache: of all sequences together, and of prefixes that nobody runs.
model::KvCache::BlockCounts cache_capacity(const model::Model& model, const EngineOptions& options);

MemoryPlan plan_memory(const model::Model& model, const EngineOptions& options);

// The plan, what is free, and what to change: of a device that cannot hold it.
Error does_not_fit(const MemoryPlan& plan, const model::Model& model, const EngineOptions& options,
                   const kernels::Device& device);

// does_not_fit() where keys, values and working memory need more than the device has. The CPU's
// pages are only touched as they fill, so the system would promise any amount and kill the program
// in the middle of an answer: what cannot fit is refused at the start.
Status check_memory(const MemoryPlan& plan, const model::Model& model, const EngineOptions& options,
                    const kernels::Device& device);

}  // namespace gemma4::engine
