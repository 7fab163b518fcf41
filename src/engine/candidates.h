// The part of the vocabulary head that a step needs when constraints leave few ids.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/view.h"
#include "ops/ops.h"

namespace gemma4::engine {

// Rows of `head` that hold every id allowed by one of the masks (bit i % 32 of word i / 32 of each,
// all of one length), in order, as whole groups of Matrix::kPackedRows. Empty: all rows, since so
// many ids are allowed, or so scattered ones, that reading all of them takes about as long.
std::vector<ops::RowRange> candidate_rows(std::span<const std::vector<uint32_t>> masks,
                                          const Matrix& head);

}  // namespace gemma4::engine
