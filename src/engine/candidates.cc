#include "engine/candidates.h"

#include <algorithm>

namespace gemma4::engine {

std::vector<ops::RowRange> candidate_rows(std::span<const std::vector<uint32_t>> masks,
                                          const Matrix& head) {
  constexpr int64_t kGroup = Matrix::kPackedRows;
  static_assert(kGroup == 16, "a word has the bits of two groups");
  // What starting a product of its own costs, as bytes that memory delivers meanwhile.
  constexpr int64_t kBytesPerRange = 64 << 10;
  if (masks.empty()) return {};
  std::vector<ops::RowRange> ranges;
  int64_t rows = 0;
  const auto add = [&](int64_t begin) {
    const int64_t end = std::min(begin + kGroup, head.rows);
    if (begin >= end) return;
    rows += end - begin;
    if (!ranges.empty() && ranges.back().end == begin)
      ranges.back().end = end;
    else
      ranges.push_back({begin, end});
  };
  for (size_t i = 0; i < masks.front().size(); ++i) {
    uint32_t any = 0;
    for (const std::vector<uint32_t>& mask : masks) any |= mask[i];
    if ((any & 0xffffu) != 0) add(static_cast<int64_t>(i) * 2 * kGroup);
    if (any >> 16 != 0) add(static_cast<int64_t>(i) * 2 * kGroup + kGroup);
  }
  const int64_t cost =
      rows * head.row_bytes() + static_cast<int64_t>(ranges.size()) * kBytesPerRange;
  if (cost > head.bytes() / 2) return {};
  return ranges;
}

}  // namespace gemma4::engine
