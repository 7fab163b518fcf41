// What GGUF projector files (mmproj) call the tensors of the vision and audio towers, and what they
// change about them. One table, used to read and to write; source: weights-and-gguf.md, E.3 to E.5.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace gemma4::model {

// How a tensor of the file is made from the checkpoint's. Each can be undone.
enum class TowerChange : uint8_t {
  kNone,        // at most dimensions of one element come or go
  kPixelOrder,  // columns (row, column, channel) of a square patch become (channel, row, column)
  kSwapAxes,    // [n, 2, D] becomes [2, n, D]
  kSoftplus,    // x becomes log(1 + e^x)
};

struct ProjectorTensor {
  std::string name;                        // the file's
  std::string checkpoint_name;             // as published
  std::vector<int64_t> file_shape, shape;  // row-major: the file's, the checkpoint's
  TowerChange change = TowerChange::kNone;
  // Whether other types than F32 make sense; kernels of convolutions do not know any in other
  // engines.
  bool is_matrix = false;
  bool is_patch_kernel = false;  // F16 or F32: those engines have no BF16 convolution
};

// All tensors of the towers and their projectors, in the order of tower_tensors(config).
std::vector<ProjectorTensor> projector_tensors(const Config& config);

}  // namespace gemma4::model
