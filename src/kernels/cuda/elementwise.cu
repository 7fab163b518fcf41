// Everything that touches each element once: rotary embedding, gates, sums, gathers.

#include "kernels/cuda/blocks.cuh"
#include "kernels/cuda/entries.cuh"

namespace gemma4::kernels::cuda {
namespace {

constexpr int kThreads = 256;

dim3 blocks_for(int64_t elements) { return blocks(ceil_div<int64_t>(elements, kThreads)); }

__device__ int64_t thread_index() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// Element `col` of row `row` of a table of plain numbers, or of blocks
template <typename T>
struct Plain {
  const T* elements;
  __device__ float at(int64_t row, int64_t col, int64_t cols) const {
    return to_float(elements[row * cols + col]);
  }
};
template <class Block>
struct Quantised {
  const Block* blocks;
  __device__ float at(int64_t row, int64_t col, int64_t cols) const {
    return value_of(BlockRow<Block>{blocks + row * (cols / BlockRow<Block>::kElements)}.at(col));
  }
};

// Calls f(table) with one of them.
template <typename F>
void dispatch_table(const Matrix& table, F&& f) {
  if (is_block_dtype(table.dtype))
    dispatch_blocks(
        table.dtype, [&]<DType, class Block>(const Block* blocks) { f(Quantised<Block>{blocks}); },
        table.data);
  else
    dispatch(table, [&]<typename T>(const T* elements) { f(Plain<T>{elements}); });
}

template <class Rows>
__global__ void embed_kernel(EmbedArgs a, Rows table) {
  begin();
  const int64_t i = thread_index();
  const int64_t cols = a.table.cols;
  if (i >= a.tokens * cols) return;
  a.out[i] = table.at(a.ids[i / cols], i % cols, cols) * a.scale;
}

// One block per row and layer.
template <class Rows>
__global__ void combine_per_layer_kernel(CombinePerLayerArgs a, Rows table) {
  begin();
  __shared__ float scratch[32];
  const int64_t row = blockIdx.x / a.layers;
  const int64_t layer = blockIdx.x % a.layers;
  const float* x = a.context + blockIdx.x * a.width;
  float* out = a.out + blockIdx.x * a.width;
  const int64_t column = a.column + layer * a.width;
  float sum = 0;
  for (int64_t j = threadIdx.x; j < a.width; j += blockDim.x) sum += x[j] * x[j];
  const float mean = block_sum(sum, scratch) / static_cast<float>(a.width);
  const float inverse = 1.0f / sqrtf(mean + a.eps);
  for (int64_t j = threadIdx.x; j < a.width; j += blockDim.x)
    out[j] = (x[j] * inverse * a.weight[j] +
              table.at(a.ids[row], column + j, a.table.cols) * a.table_scale) *
             a.combine_scale;
}

__global__ void rope_table_kernel(RopeTableArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i >= a.tokens * a.half) return;
  const float angle = static_cast<float>(a.positions[i / a.half]) * a.inv_freq[i % a.half];
  a.cos[i] = cosf(angle);
  a.sin[i] = sinf(angle);
}

__global__ void rope_kernel(RopeArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i >= a.tokens * a.heads * a.half) return;
  const int64_t head = i / a.half;  // of all rows
  const int64_t j = i % a.half;
  const int64_t angle = head / a.heads * a.half + j;
  float* x = a.x + head * 2 * a.half + j;
  const float first = x[0];
  const float second = x[a.half];
  x[0] = first * a.cos[angle] - second * a.sin[angle];
  x[a.half] = second * a.cos[angle] + first * a.sin[angle];
}

__global__ void store_kv_kernel(StoreKvArgs a) {
  begin();
  const int64_t i = thread_index();
  const int64_t dim = a.cache.head_dim;
  const int64_t heads = a.cache.heads;
  if (i >= a.tokens * heads * dim) return;
  const int64_t slot = a.slots[i / (heads * dim)];
  const int64_t head = i / dim % heads;
  const int64_t block = slot / a.cache.block_tokens;
  const int64_t to =
      ((block * heads + head) * a.cache.block_tokens + slot % a.cache.block_tokens) * dim + i % dim;
  put(a.cache.k, a.cache.dtype, to, a.k[i]);
  put(a.cache.v, a.cache.dtype, to, a.v[i]);
}

__global__ void gated_gelu_kernel(GatedGeluArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i >= a.rows * a.cols) return;
  const int64_t row = i / a.cols;
  const int64_t col = i % a.cols;
  a.out[i] = gelu_tanh(a.gate[row * a.gate_stride + col]) * a.up[row * a.up_stride + col];
}

__global__ void add_kernel(AddArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i < a.n) a.out[i] = (a.a[i] + a.b[i]) * a.scale;
}

__global__ void scale_kernel(ScaleArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i >= a.rows * a.cols) return;
  a.out[i] = a.x[i] * (a.weight != nullptr ? a.weight[i % a.cols] : 1.0f) * a.scale;
}

__global__ void gather_rows_kernel(GatherRowsArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i < a.count * a.cols) a.out[i] = a.x[a.rows[i / a.cols] * a.cols + i % a.cols];
}

__global__ void soft_cap_kernel(SoftCapArgs a) {
  begin();
  const int64_t i = thread_index();
  if (i < a.n) a.out[i] = a.cap * tanhf(a.x[i] / a.cap);
}

}  // namespace

void embed(Queue queue, const EmbedArgs& a) {
  dispatch_table(a.table, [&]<class Rows>(Rows table) {
    launch(queue, blocks_for(a.tokens * a.table.cols), kThreads, 0, embed_kernel<Rows>, a, table);
  });
}

void combine_per_layer(Queue queue, const CombinePerLayerArgs& a) {
  dispatch_table(a.table, [&]<class Rows>(Rows table) {
    launch(queue, blocks(a.tokens * a.layers), kThreads, 0, combine_per_layer_kernel<Rows>, a,
           table);
  });
}

void rope_table(Queue queue, const RopeTableArgs& a) {
  launch(queue, blocks_for(a.tokens * a.half), kThreads, 0, rope_table_kernel, a);
}

void rope(Queue queue, const RopeArgs& a) {
  launch(queue, blocks_for(a.tokens * a.heads * a.half), kThreads, 0, rope_kernel, a);
}

void store_kv(Queue queue, const StoreKvArgs& a) {
  const int64_t elements = a.tokens * a.cache.heads * a.cache.head_dim;
  launch(queue, blocks_for(elements), kThreads, 0, store_kv_kernel, a);
}

void gated_gelu(Queue queue, const GatedGeluArgs& a) {
  launch(queue, blocks_for(a.rows * a.cols), kThreads, 0, gated_gelu_kernel, a);
}

void add(Queue queue, const AddArgs& a) {
  launch(queue, blocks_for(a.n), kThreads, 0, add_kernel, a);
}

void scale(Queue queue, const ScaleArgs& a) {
  launch(queue, blocks_for(a.rows * a.cols), kThreads, 0, scale_kernel, a);
}

void gather_rows(Queue queue, const GatherRowsArgs& a) {
  launch(queue, blocks_for(a.count * a.cols), kThreads, 0, gather_rows_kernel, a);
}

void soft_cap(Queue queue, const SoftCapArgs& a) {
  launch(queue, blocks_for(a.n), kThreads, 0, soft_cap_kernel, a);
}

}  // namespace gemma4::kernels::cuda
