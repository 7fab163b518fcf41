// The ragged input of one step: the only thing the model sees of requests. Rows of one sequence are
// consecutive and in order of position; any number of sequences may share a batch.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/kv_cache.h"
#include "model/model.h"
#include "model/soft_tokens.h"

namespace gemma4::model {

// Per row: its position, its sequence, and the keys it sees in layers of each kind.
struct RowSet {
  std::vector<int32_t> positions;  // [T]
  std::vector<int32_t> sequence;   // [T] index into the block tables
  std::array<std::vector<int32_t>, kNumAttentionKinds> key_begin;  // [T]
  std::array<std::vector<int32_t>, kNumAttentionKinds> key_end;    // [T]

  int64_t size() const { return static_cast<int64_t>(positions.size()); }
};

// Block tables of all sequences, one after the other, for one kind of layer.
struct PackedTables {
  std::vector<int32_t> block_table;
  std::vector<int32_t> table_offset;  // [B]
  std::vector<int32_t> table_first;   // [B]
  std::vector<int32_t> slots;         // [T] where each row's K and V go
};

// Soft tokens of a batch: rows [row, row + count) have these embeddings. Memory of the program.
struct SoftRun {
  int64_t row = 0;
  int64_t count = 0;
  const float* values = nullptr;  // [count, D]
};

struct Batch {
  std::vector<int32_t> ids;         // [T] embedding rows (placeholders already replaced)
  RowSet rows;                      // [T]
  std::vector<int32_t> logit_rows;  // [R] rows whose logits are wanted, rising
  std::vector<int32_t> logit_ids;   // [R] the same rows' entries of `ids`
  RowSet logit_row_set;             // [R] and of `rows`
  std::array<PackedTables, kNumAttentionKinds> tables;
  std::vector<SoftRun> soft_runs;  // rising

  int64_t num_tokens() const { return rows.size(); }
  int64_t num_sequences() const { return static_cast<int64_t>(tables[0].table_offset.size()); }

  // Appends `token_ids` at the end of `sequence`, for which room was reserved. `wanted` are the
  // indexes into `token_ids`, rising, of those whose logits are wanted. Rows of a block see all of
  // it in sliding layers, so `token_ids` must not end inside one. The spans' rows are read when the
  // batch runs.
  void add(const Model& model, const KvSequence& sequence, std::span<const int32_t> token_ids,
           std::span<const int32_t> wanted, const SequenceMedia& media = {});
};

// A batch of `tokens` rows with `logits` logit rows whose contents mean nothing: for the dry run.
Batch shape_only_batch(int64_t tokens, int64_t logits);

}  // namespace gemma4::model
