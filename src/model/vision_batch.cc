#include "model/vision_forward.h"

namespace gemma4::model {

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

}  // namespace gemma4::model
