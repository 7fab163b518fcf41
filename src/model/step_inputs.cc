#include "model/step_inputs.h"

namespace gemma4::model {
namespace {

// Calls visit(array of the batch, its place in the inputs) for every array.
template <typename Visit>
void for_each_array(const Batch& batch, StepInputs& inputs, Visit visit) {
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
    visit(from.block_table, to.block_table);
    visit(from.table_offset, to.table_offset);
    visit(from.table_first, to.table_first);
    visit(from.slots, to.slots);
  }
}

}  // namespace

StepInputs host_inputs(const Batch& batch) {
  StepInputs inputs;
  for_each_array(batch, inputs,
                 [](const std::vector<int32_t>& from, std::span<const int32_t>& to) { to = from; });
  return inputs;
}

Result<StepInputs> InputBuffer::place(const Batch& batch) {
  if (device_.is_host()) return host_inputs(batch);
  StepInputs inputs;
  staging_.clear();
  for_each_array(batch, inputs, [&](const std::vector<int32_t>& from, std::span<const int32_t>&) {
    staging_.insert(staging_.end(), from.begin(), from.end());
  });
  if (staging_.size() > capacity_) {
    capacity_ = 2 * staging_.size();  // block tables grow with the sequences
    memory_.reset();
    G4_ASSIGN_OR_RETURN(memory_, device_.allocate(capacity_ * sizeof(int32_t)));
  }
  device_.upload(memory_.get(), staging_.data(), staging_.size() * sizeof(int32_t));
  const auto* next = reinterpret_cast<const int32_t*>(memory_.get());
  for_each_array(batch, inputs,
                 [&](const std::vector<int32_t>& from, std::span<const int32_t>& to) {
                   to = {next, from.size()};
                   next += from.size();
                 });
  return inputs;
}

}  // namespace gemma4::model
