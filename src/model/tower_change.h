// The transformations between a checkpoint's tower tensors and those of a projector file, and their
// inverses (projector_tensors.h says which tensor gets which).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/projector_tensors.h"

namespace gemma4::model {

// Elements of any `element_bytes`; `shape` is the checkpoint's in both directions. Only for
// kPixelOrder and kSwapAxes, which move elements and compute nothing. The last dimension of
// kPixelOrder is 3·s·s.
std::vector<std::byte> to_file_order(TowerChange change, std::span<const int64_t> shape,
                                     std::span<const std::byte> elements, size_t element_bytes);
std::vector<std::byte> to_checkpoint_order(TowerChange change, std::span<const int64_t> shape,
                                           std::span<const std::byte> elements,
                                           size_t element_bytes);

// log(1 + e^x), rounded once.
float softplus(float x);

// The x whose softplus is y >= 0, to four units in y's last place: other programs round e^x and the
// logarithm each for themselves. Of all such x the shortest, which is what checkpoints have: zero,
// else one of bfloat16, else one of float16, else the nearest float32.
float inverse_softplus(float y);

}  // namespace gemma4::model
