#include "model/vision_forward.h"

namespace gemma4::model {
namespace {

// Calls visit(array of the batch, its place in the inputs) for every array.
template <typename Visit>
void for_each_array(const VisionBatch& batch, VisionInputs& inputs, Visit visit) {
  visit(batch.positions, inputs.positions);
  for (size_t axis = 0; axis < batch.table_rows.size(); ++axis)
    visit(batch.table_rows[axis], inputs.table_rows[axis]);
  visit(batch.key_begin, inputs.key_begin);
  visit(batch.key_end, inputs.key_end);
  visit(batch.sequence, inputs.sequence);
  visit(batch.slots, inputs.slots);
  visit(batch.table_offset, inputs.table_offset);
  visit(batch.table_first, inputs.table_first);
  visit(batch.block_table, inputs.block_table);
}

}  // namespace

VisionBatch vision_batch(const VisionConfig& config, std::span<const PatchGrid> grids) {
  VisionBatch batch;
  batch.grids.assign(grids.begin(), grids.end());
  std::vector<int32_t> columns, rows;
  for (const PatchGrid& grid : grids) {
    const auto picture = static_cast<int32_t>(batch.table_offset.size());
    const auto first_block = static_cast<int32_t>(batch.block_table.size());
    batch.table_offset.push_back(first_block);
    batch.table_first.push_back(0);
    for (int64_t block = 0; block * kPatchBlock < grid.size(); ++block)
      batch.block_table.push_back(first_block + static_cast<int32_t>(block));
    for (int64_t patch = 0; patch < grid.size(); ++patch) {
      const auto x = static_cast<int32_t>(patch % grid.cols);
      const auto y = static_cast<int32_t>(patch / grid.cols);
      columns.push_back(x);
      rows.push_back(y);
      const auto table = static_cast<int32_t>(config.position_embedding_size);
      batch.table_rows[0].push_back(config.unified ? 2 * x : x);
      batch.table_rows[1].push_back(config.unified ? 2 * y + 1 : table + y);
      batch.key_begin.push_back(0);
      batch.key_end.push_back(static_cast<int32_t>(grid.size()));
      batch.sequence.push_back(picture);
      batch.slots.push_back(first_block * static_cast<int32_t>(kPatchBlock) +
                            static_cast<int32_t>(patch));
    }
  }
  batch.positions = columns;
  batch.positions.insert(batch.positions.end(), rows.begin(), rows.end());
  const int64_t side =
      config.patch_size * (config.unified ? config.pooling_kernel_size : int64_t{1});
  batch.pixels =
      View(nullptr, DType::kF32, {static_cast<int64_t>(columns.size()), 3 * side * side});
  return batch;
}

VisionInputs host_inputs(const VisionBatch& batch) {
  VisionInputs inputs;
  inputs.pixels = batch.pixels;
  inputs.grids = batch.grids;
  for_each_array(batch, inputs,
                 [](const std::vector<int32_t>& from, std::span<const int32_t>& to) { to = from; });
  return inputs;
}

Result<VisionInputs> device_inputs(const VisionBatch& batch, kernels::Device& device,
                                   kernels::Device::Memory& memory) {
  VisionInputs inputs = host_inputs(batch);
  std::vector<int32_t> numbers;
  for_each_array(batch, inputs, [&](const std::vector<int32_t>& from, std::span<const int32_t>&) {
    numbers.insert(numbers.end(), from.begin(), from.end());
  });
  const auto pixel_bytes = static_cast<size_t>(batch.pixels.size()) * sizeof(float);
  G4_ASSIGN_OR_RETURN(memory, device.allocate(pixel_bytes + numbers.size() * sizeof(int32_t)));
  device.upload(memory.get(), batch.pixels.data, pixel_bytes);
  device.upload(memory.get() + pixel_bytes, numbers.data(), numbers.size() * sizeof(int32_t));
  inputs.pixels.data = memory.get();
  const auto* next = reinterpret_cast<const int32_t*>(memory.get() + pixel_bytes);
  for_each_array(batch, inputs,
                 [&](const std::vector<int32_t>& from, std::span<const int32_t>& to) {
                   to = {next, from.size()};
                   next += from.size();
                 });
  return inputs;
}

}  // namespace gemma4::model
