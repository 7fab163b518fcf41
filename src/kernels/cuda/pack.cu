// Puts quantised weights into the order of packed.cuh, on the card.

#include "kernels/cuda/blocks.cuh"
#include "kernels/cuda/entries.cuh"
#include "kernels/cuda/packed.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 128;

template <class Block>
struct Source {
  const Block* blocks;
  int64_t rows;
  int64_t cols;

  // Columns and rows that fill up a piece count nothing.
  __device__ Coded at(int64_t row, int64_t col) const {
    if (row >= rows || col >= cols) return {0, 0, 0};
    return BlockRow<Block>{blocks + row * (cols / BlockRow<Block>::kElements)}.at(col);
  }
};

// One thread for what a lane reads of a piece
template <Packing kPacking, class Block>
__global__ void pack_kernel(Source<Block> source, std::byte* out, int64_t pieces) {
  begin();
  const int64_t index = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  const int lane = threadIdx.x % kWarp;
  const int64_t columns = pieces_of(source.cols);
  if (index >= pieces) return;
  const int64_t row = index / columns * kTileRows + lane / 4;
  const int64_t col = index % columns * kPieceCols;
  std::byte* piece = out + index * piece_bytes(kPacking);

  uint32_t low[code_vectors(kPacking) * 4] = {};
  uint32_t high[2] = {};
  for (int step = 0; step < 4; ++step)
    for (int i = 0; i < 4; ++i)
      for (int e = 0; e < 2; ++e) {
        const int64_t r = row + i % 2 * 8;
        const int64_t c = col + step * 16 + lane % 4 * 4 + i / 2 * 2 + e;
        const auto code = static_cast<uint32_t>(source.at(r, c).code + bias_of(kPacking)) & 0xFFu;
        if constexpr (kPacking == Packing::kBytes) {
          low[step * 2 + i / 2] |= code << (16 * e + i % 2 * 8);
        } else {
          low[step] |= (code & 15u) << (16 * e + 4 * i);
          high[step / 2] |= code >> 4 << (16 * e + 2 * i + step % 2 * 8);
        }
      }
  for (int i = 0; i < code_vectors(kPacking); ++i)
    reinterpret_cast<uint4*>(piece)[i * kWarp + lane] = {low[4 * i], low[4 * i + 1], low[4 * i + 2],
                                                         low[4 * i + 3]};
  if constexpr (high_words(kPacking) > 0)
    reinterpret_cast<uint2*>(piece + high_at(kPacking))[lane] = {high[0], high[1]};

  constexpr int kNumbers = has_offset(kPacking) ? 2 : 1;
  constexpr int kScales = scales_of_rows(kPacking) / kNumbers;  // of each pair of rows
  auto* scales = reinterpret_cast<__half*>(piece + scales_at(kPacking));
  for (int s = lane % 4; s < kScales; s += 4) {
    const Coded first = source.at(row + s % 2 * 8, col + s / 2 * group_cols(kPacking));
    __half* to = scales + (lane / 4 * kScales + s) * kNumbers;
    to[0] = __float2half_rn(first.scale);
    if constexpr (has_offset(kPacking)) to[1] = __float2half_rn(first.offset);
  }
}

}  // namespace

size_t packed_bytes(const Matrix& weight) {
  return static_cast<size_t>(ceil_div<int64_t>(weight.rows, kTileRows) *
                             tile_bytes(packing_of(weight.dtype), weight.cols));
}

void pack(Queue queue, const Matrix& weight, std::byte* out) {
  const int64_t pieces = ceil_div<int64_t>(weight.rows, kTileRows) * pieces_of(weight.cols);
  dispatch_blocks(
      weight.dtype,
      [&]<DType kType, class Block>(const Block* rows) {
        launch(queue, blocks(ceil_div<int64_t>(pieces * kWarp, kThreads)), kThreads, 0,
               pack_kernel<packing_of(kType), Block>, Source<Block>{rows, weight.rows, weight.cols},
               out, pieces);
      },
      weight.data);
}

}  // namespace gemma4::kernels::cuda
