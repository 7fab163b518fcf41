#include "model/batch.h"

#include <algorithm>

#include "base/check.h"

namespace gemma4::model {
namespace {

void append_row(RowSet& to, const RowSet& from, size_t row) {
  to.positions.push_back(from.positions[row]);
  to.sequence.push_back(from.sequence[row]);
  for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
    to.key_begin[kind].push_back(from.key_begin[kind][row]);
    to.key_end[kind].push_back(from.key_end[kind][row]);
  }
}

// The parts of `spans` at positions [begin, end), which are rows `first_row` and on.
void append_soft_runs(std::vector<SoftRun>& runs, std::span<const SoftSpan> spans, int64_t begin,
                      int64_t end, int64_t first_row) {
  for (const SoftSpan& span : spans) {
    const int64_t from = std::max(begin, span.position), to = std::min(end, span.end());
    if (from >= to) continue;
    const SoftTokens& tokens = *span.tokens;
    runs.push_back({first_row + from - begin, to - from,
                    tokens.values.data() + (from - span.position) * tokens.width});
  }
}

}  // namespace

void Batch::add(const Model& model, const KvSequence& sequence, std::span<const int32_t> token_ids,
                std::span<const int32_t> wanted, const SequenceMedia& media) {
  constexpr auto kSliding = static_cast<size_t>(index_of(AttentionKind::kSliding));
  const int64_t window = model.config().text.sliding_window;
  const auto sequence_idx = static_cast<int32_t>(num_sequences());
  const auto count = static_cast<int64_t>(token_ids.size());
  for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
    PackedTables& packed = tables[kind];
    const BlockTable& table = sequence.tables[kind];
    packed.table_offset.push_back(static_cast<int32_t>(packed.block_table.size()));
    packed.table_first.push_back(table.first);
    packed.block_table.insert(packed.block_table.end(), table.blocks.begin(), table.blocks.end());
    for (int64_t i = 0; i < count; ++i)
      packed.slots.push_back(static_cast<int32_t>(KvCache::slot(table, sequence.length + i)));
  }
  append_soft_runs(soft_runs, media.spans, sequence.length, sequence.length + count, rows.size());
  for (int64_t i = 0; i < count; ++i) {
    const auto position = static_cast<int32_t>(sequence.length + i);
    ids.push_back(model.embedding_id(token_ids[static_cast<size_t>(i)]));
    rows.positions.push_back(position);
    rows.sequence.push_back(sequence_idx);
    const VisionBlock* const block = block_at(media.blocks, position);
    if (block != nullptr)  // its last keys are stored by this step too
      G4_CHECK(block->begin >= sequence.length && block->end <= sequence.length + count);
    for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
      // A sliding query sees exactly `window` keys, itself included, and what follows in its block;
      // a full one sees all before it.
      const bool sliding = kind == kSliding;
      const int64_t begin = sliding ? std::max<int64_t>(0, position - window + 1) : 0;
      const int64_t end = sliding && block != nullptr ? block->end : position + 1;
      rows.key_begin[kind].push_back(static_cast<int32_t>(begin));
      rows.key_end[kind].push_back(static_cast<int32_t>(end));
    }
    if (!wanted.empty() && wanted.front() == i) {
      wanted = wanted.subspan(1);
      logit_rows.push_back(static_cast<int32_t>(rows.size() - 1));
      logit_ids.push_back(ids.back());
      append_row(logit_row_set, rows, static_cast<size_t>(rows.size() - 1));
    }
  }
  G4_CHECK(wanted.empty());  // rising, and inside token_ids
}

Batch shape_only_batch(int64_t tokens, int64_t logits) {
  G4_CHECK_LE(logits, tokens);
  Batch batch;
  const auto fill = [](RowSet& rows, int64_t count) {
    rows.positions.resize(static_cast<size_t>(count));
    rows.sequence.resize(static_cast<size_t>(count));
    for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
      rows.key_begin[kind].resize(static_cast<size_t>(count));
      rows.key_end[kind].resize(static_cast<size_t>(count));
    }
  };
  batch.ids.resize(static_cast<size_t>(tokens));
  batch.logit_rows.resize(static_cast<size_t>(logits));
  batch.logit_ids.resize(static_cast<size_t>(logits));
  fill(batch.rows, tokens);
  fill(batch.logit_row_set, logits);
  for (PackedTables& tables : batch.tables) tables.slots.resize(static_cast<size_t>(tokens));
  return batch;
}

}  // namespace gemma4::model
