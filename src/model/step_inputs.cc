#include "model/step_inputs.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace gemma4::model {
namespace {

// Calls visit(array of the batch, its place in the inputs) for every array whose size follows from
// the numbers of tokens, logits and sequences: all but the block tables.
template <typename Visit>
void for_each_fixed_array(const Batch& batch, StepInputs& inputs, Visit visit) {
  const auto rows = [&](const RowSet& from, RowInputs& to) {
    visit(from.positions, to.positions);
    visit(from.sequence, to.sequence);
    for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
      visit(from.key_begin[kind], to.key_begin[kind]);
      visit(from.key_end[kind], to.key_end[kind]);
    }
  };
  visit(batch.ids, inputs.ids);
  visit(batch.logit_rows, inputs.logit_rows);
  visit(batch.logit_ids, inputs.logit_ids);
  rows(batch.rows, inputs.rows);
  rows(batch.logit_row_set, inputs.logit_row_set);
  for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
    const PackedTables& from = batch.tables[kind];
    TableInputs& to = inputs.tables[kind];
    visit(from.table_offset, to.table_offset);
    visit(from.table_first, to.table_first);
    visit(from.slots, to.slots);
  }
}

void bound_keys(const Batch& batch, StepInputs& inputs) {
  for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
    const std::vector<int32_t>& begin = batch.rows.key_begin[kind];
    const std::vector<int32_t>& end = batch.rows.key_end[kind];
    int32_t most = 1;
    for (size_t row = 0; row < end.size(); ++row) most = std::max(most, end[row] - begin[row]);
    inputs.most_keys[kind] = static_cast<int64_t>(std::bit_ceil(static_cast<uint32_t>(most)));
  }
}

}  // namespace

StepInputs host_inputs(const Batch& batch) {
  StepInputs inputs;
  inputs.soft_runs = batch.soft_runs;
  bound_keys(batch, inputs);
  for_each_fixed_array(
      batch, inputs,
      [](const std::vector<int32_t>& from, std::span<const int32_t>& to) { to = from; });
  for (size_t kind = 0; kind < kNumAttentionKinds; ++kind)
    inputs.tables[kind].block_table = batch.tables[kind].block_table;
  return inputs;
}

Result<InputBuffer> InputBuffer::create(kernels::Device& device, const Limits& limits) {
  InputBuffer buffer(device, limits);
  if (device.is_host()) return buffer;
  // ids and slots of both kinds, and the arrays of both row sets
  int64_t numbers =
      3 * limits.tokens + 2 * limits.logits +
      (2 + 2 * static_cast<int64_t>(kNumAttentionKinds)) * (limits.tokens + limits.logits) +
      2 * static_cast<int64_t>(kNumAttentionKinds) * limits.sequences;
  for (const int64_t blocks : limits.blocks) numbers += blocks;
  buffer.capacity_ = static_cast<size_t>(numbers);
  G4_ASSIGN_OR_RETURN(buffer.memory_, device.allocate(buffer.capacity_ * sizeof(int32_t)));
  return buffer;
}

StepInputs InputBuffer::place(const Batch& batch) {
  if (device_->is_host()) return host_inputs(batch);
  StepInputs inputs;
  inputs.soft_runs = batch.soft_runs;
  bound_keys(batch, inputs);
  place_block_tables(batch, inputs);
  staging_.clear();
  for_each_fixed_array(batch, inputs,
                       [&](const std::vector<int32_t>& from, std::span<const int32_t>&) {
                         staging_.insert(staging_.end(), from.begin(), from.end());
                       });
  auto* next = reinterpret_cast<int32_t*>(memory_.get());
  for (const int64_t blocks : limits_.blocks) next += blocks;
  G4_CHECK_LE(next + staging_.size(), reinterpret_cast<int32_t*>(memory_.get()) + capacity_);
  device_->upload(next, staging_.data(), staging_.size() * sizeof(int32_t));
  for_each_fixed_array(batch, inputs,
                       [&](const std::vector<int32_t>& from, std::span<const int32_t>& to) {
                         to = {next, from.size()};
                         next += from.size();
                       });
  return inputs;
}

void InputBuffer::place_block_tables(const Batch& batch, StepInputs& inputs) {
  auto* next = reinterpret_cast<int32_t*>(memory_.get());
  for (size_t kind = 0; kind < kNumAttentionKinds; ++kind) {
    const std::vector<int32_t>& table = batch.tables[kind].block_table;
    G4_CHECK_LE(static_cast<int64_t>(table.size()), limits_.blocks[kind]);
    device_->upload(next, table.data(), table.size() * sizeof(int32_t));
    inputs.tables[kind].block_table = {next, table.size()};
    next += limits_.blocks[kind];
  }
}

}  // namespace gemma4::model
