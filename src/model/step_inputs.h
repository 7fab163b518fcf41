// The arrays of a batch where kernels can read them: the batch's own on the CPU, a copy elsewhere.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/device.h"
#include "model/batch.h"
#include "model/kv_cache.h"

namespace gemma4::model {

// As RowSet
struct RowInputs {
  std::span<const int32_t> positions;
  std::span<const int32_t> sequence;
  std::array<std::span<const int32_t>, kNumAttentionKinds> key_begin;
  std::array<std::span<const int32_t>, kNumAttentionKinds> key_end;
};

// As PackedTables
struct TableInputs {
  std::span<const int32_t> block_table;
  std::span<const int32_t> table_offset;
  std::span<const int32_t> table_first;
  std::span<const int32_t> slots;
};

// As Batch
struct StepInputs {
  std::span<const int32_t> ids;
  RowInputs rows;
  std::span<const int32_t> logit_rows;
  std::span<const int32_t> logit_ids;
  RowInputs logit_row_set;
  std::array<TableInputs, kNumAttentionKinds> tables;
  std::span<const SoftRun> soft_runs;  // the batch's own, wherever kernels run
  // No row sees more keys in layers of each kind: a power of two, so that few values occur.
  std::array<int64_t, kNumAttentionKinds> most_keys{};

  int64_t num_tokens() const { return static_cast<int64_t>(ids.size()); }
};

// Views into `batch`.
StepInputs host_inputs(const Batch& batch);

// Device memory for the arrays of one step at a time. Batches with the same numbers of tokens,
// logits and sequences find their arrays at the same addresses, as recorded steps need.
class InputBuffer {
 public:
  struct Limits {
    int64_t tokens = 0;
    int64_t logits = 0;
    int64_t sequences = 0;
    KvCache::BlockCounts blocks{};  // of all sequences together
  };
  // Errors: kResourceExhausted.
  static Result<InputBuffer> create(kernels::Device& device, const Limits& limits);

  // Copies the arrays of `batch`, within the limits, to the device, where they stay until the next
  // call; on the CPU it only views them.
  StepInputs place(const Batch& batch);

 private:
  InputBuffer(kernels::Device& device, const Limits& limits) : device_(&device), limits_(limits) {}
  void place_block_tables(const Batch& batch, StepInputs& inputs);

  kernels::Device* device_;
  Limits limits_;
  // The block tables of each kind, at full size since they grow; then the other arrays.
  kernels::Device::Memory memory_;
  size_t capacity_ = 0;           // of memory_, in numbers
  std::vector<int32_t> staging_;  // the other arrays, one after the other
};

}  // namespace gemma4::model
