// The vocabulary of the engine: every operation a device must offer, as a function pointer and one
// struct of arguments. The model speaks ops, ops speak this table, a backend is a filled table.
//
// Contract of every entry: pointers are valid for the sizes given, outputs do not alias inputs
// unless the comment says so, activations are float32 and contiguous, weights may be unaligned.
// Arguments are checked one layer above (src/ops). Shapes use the alphabet of docs/notation.md.
#pragma once

#include <cstdint>
#include <limits>

#include "base/thread_pool.h"
#include "base/view.h"

namespace gemma4::kernels {

// How a card's products read their input: as it is, or each number rounded to bfloat16. Sums are
// in float32 either way. The CPU's tables decide for themselves.
enum class Activations { kFloat32, kBFloat16 };

// Where a kernel runs: the threads of the CPU, or the stream of a card.
struct Queue {
  ThreadPool* pool = nullptr;
  void* stream = nullptr;
  void* scratch = nullptr;  // of the card, for what does not outlive a kernel
  Activations activations = Activations::kFloat32;
};

// out[t] = table[ids[t]] · scale
struct EmbedArgs {
  float* out;          // [T, D]
  const int32_t* ids;  // [T], each in [0, table.rows)
  int64_t tokens;      // T
  Matrix table;        // [V, D]
  float scale;
};

// Per-layer inputs: out[t,l,:] = (RMS_w(context[t,l,:]) + table[ids[t], column + l·P
// …]·table_scale) · combine_scale
struct CombinePerLayerArgs {
  float* out;            // [T, L, P]
  const float* context;  // [T, L, P], already scaled; may alias `out`
  const int32_t* ids;    // [T]
  int64_t tokens;        // T
  int64_t layers;        // L: layers in this slice
  int64_t width;         // P
  Matrix table;          // [V, all layers · P]
  int64_t column;        // first column of the slice
  const float* weight;   // [P]
  float eps;
  float table_scale;
  float combine_scale;
};

// out = x · (mean(x²) + eps)^(-1/2) ⊙ weight, over the last axis
struct RmsNormArgs {
  float* out;           // [rows, cols]; may alias x
  const float* x;       // [rows, cols]
  const float* weight;  // [cols], or null for none
  int64_t rows;
  int64_t cols;
  float eps;
};

// What a value is held between; by default nothing changes.
struct Bounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// out[t, n] = Σ_k x[t, k] · weight[n, k], float32 accumulation. Row t depends on x[t] alone, bit
// for bit.
struct LinearArgs {
  float* out;      // [T, N]
  const float* x;  // [T, K]
  int64_t tokens;  // T
  Matrix weight;   // [N, K]
  // Sums may be taken in another order, which suits many rows; however few there are.
  bool many_rows = false;
  Bounds input = {};   // what x and out are clipped to; open unless Table::clips_products and the
  Bounds output = {};  // weight is of plain floats and many_rows
};

// cos and sin of position · inv_freq, the product formed in float32, full argument reduction
struct RopeTableArgs {
  float* cos;                // [T, half]
  float* sin;                // [T, half]
  const int32_t* positions;  // [T]
  const float* inv_freq;     // [half]
  int64_t tokens;
  int64_t half;  // Dh / 2
};

// Rotate-half position embedding, in place: element i pairs with i + half
struct RopeArgs {
  float* x;          // [T, heads, 2 · half]
  const float* cos;  // [T, half]
  const float* sin;  // [T, half]
  int64_t tokens;
  int64_t heads;
  int64_t half;
};

// The types that K and V may be kept in. Q8_0 needs heads of whole blocks of 32 elements.
inline constexpr DType kKvTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0};

// One layer's K and V in blocks. Slot = block · block_tokens + offset; the part of (block, head) is
// part_bytes() long and begins at (block · heads + head) · part_bytes(), of V as of K. How the
// block_tokens rows of head_dim elements lie inside it is between a table's store_kv and its
// attention.
struct KvLayer {
  void* k;
  void* v;
  int64_t heads;     // Hkv
  int64_t head_dim;  // Dh
  int64_t block_tokens;
  DType dtype = DType::kF32;  // one of kKvTypes; another than F32 only where Table says so

  int64_t part_bytes() const { return block_tokens * row_bytes(dtype, head_dim); }
};

// Writes each row's K and V into its slot, as elements of the cache's type: the plain floats round
// to nearest even, Q8_0 is quant::nearest_q8_0
struct StoreKvArgs {
  KvLayer cache;
  const float* k;        // [T, Hkv, Dh]
  const float* v;        // [T, Hkv, Dh]
  const int32_t* slots;  // [T]
  int64_t tokens;
};

// Softmax attention over K and V as stored, scale 1, in float32 (a card whose activations are
// bfloat16 rounds queries and weights too): row t sees the keys at positions
// [key_begin[t], key_end[t]) of its sequence. That interval expresses every mask of the model:
// causal, window, and (later) bidirectional blocks. Keys before key_end - T, and the arrays below,
// are there before the step begins: a card may read them while earlier kernels still run.
struct AttentionArgs {
  float* out;      // [T, Hq, Dh]
  const float* q;  // [T, Hq, Dh]
  KvLayer cache;
  const int32_t* key_begin;     // [T]
  const int32_t* key_end;       // [T], > key_begin
  const int32_t* sequence;      // [T] index into the two arrays below
  const int32_t* table_offset;  // [B] where the sequence's blocks start in block_table
  const int32_t* table_first;   // [B] position block (position / block_tokens) of that first entry
  const int32_t* block_table;   // physical block numbers
  int64_t tokens;               // T
  int64_t q_heads;        // Hq, a multiple of cache.heads; head h reads KV head h / (Hq / Hkv)
  int64_t most_keys = 0;  // key_end - key_begin is at most this; 0 = unknown
  int64_t sequences = 0;  // B; 0 = unknown
};

// out = gelu_tanh(gate) ⊙ up
struct GatedGeluArgs {
  float* out;         // [rows, cols]; may alias gate or up
  const float* gate;  // rows start `gate_stride` elements apart
  const float* up;    // rows start `up_stride` elements apart
  int64_t rows;
  int64_t cols;
  int64_t gate_stride;
  int64_t up_stride;
};

// out = (a + b) · scale
struct AddArgs {
  float* out;  // [n]; may alias a or b
  const float* a;
  const float* b;
  int64_t n;
  float scale;
};

// out[t, j] = x[t, j] · scale · (weight ? weight[j] : 1)
struct ScaleArgs {
  float* out;           // [rows, cols]; may alias x
  const float* x;       // [rows, cols]
  const float* weight;  // [cols] or null
  int64_t rows;
  int64_t cols;
  float scale;
};

// out[r] = x[rows[r]]
struct GatherRowsArgs {
  float* out;           // [R, cols]
  const float* x;       // [T, cols]
  const int32_t* rows;  // [R], each in [0, T)
  int64_t count;        // R
  int64_t cols;
};

// out = cap · tanh(x / cap)
struct SoftCapArgs {
  float* out;  // [n]; may alias x
  const float* x;
  int64_t n;
  float cap;
};

// π = softmax(logits); the k largest (ties: lower index), renormalised, then times expert_scale
struct RouteArgs {
  int32_t* experts;           // [T, K], in order of falling π
  float* weights;             // [T, K]
  const float* logits;        // [T, E]
  const float* expert_scale;  // [E]
  int64_t tokens;
  int64_t num_experts;  // E
  int64_t top_k;        // K <= E
};

// out[t] = Σ_k weights[t,k] · down[e]·(gelu(u[0:F]) ⊙ u[F:2F]),  u = gate_up[e]·x[t],  e =
// experts[t,k]
struct ExpertsArgs {
  float* out;              // [T, D]
  const float* x;          // [T, D]
  const int32_t* experts;  // [T, K]
  const float* weights;    // [T, K]
  float* workspace;        // experts_workspace_floats(T, K, D, F)
  int64_t tokens;
  int64_t top_k;
  int64_t num_experts;  // E
  int64_t hidden;       // D
  int64_t width;        // F
  Matrix gate_up;       // [E · 2F, D], expert-major; in each expert the first F rows are the gate
  Matrix down;          // [E · D, F]
};

inline int64_t experts_workspace_floats(int64_t tokens, int64_t top_k, int64_t hidden,
                                        int64_t width) {
  // Per (token, expert) pair: the gathered input, gate and up, their product, and the output.
  return tokens * top_k * (2 * hidden + 3 * width);
}

// The audio tower (audio.md). T counts its rows in time, H its heads.

// One block of the front end: a 3×3 convolution of stride 2 over time and bands with zeros around,
// LayerNorm over the channels, ReLU. In double brackets a row of the weight, columns in the order
// time a, band b, channel c:
// out[t, m, n] = relu(LN_n([[Σ_abc weight[n, (3a + b)·C + c] · x[2t - 1 + a, 2m - 1 + b, c]]]) ⊙
// norm[n])
struct SubsampleArgs {
  float* out;      // [ceil(frames / 2), ceil(bands / 2), N]
  const float* x;  // [frames, bands, C]
  int64_t frames;
  int64_t bands;
  int64_t channels;   // C
  Matrix weight;      // [N, 9·C], F32
  const float* norm;  // [N]
  float eps;
};

// out[t, j] = clip(x[t, j] + bias[j])
struct ClipArgs {
  float* out;         // [rows, cols]; may alias x
  const float* x;     // [rows, cols]
  const float* bias;  // [cols], or null for none
  int64_t rows;
  int64_t cols;
  Bounds bounds;
};

// out = after(silu(before(x))), silu(x) = x · sigmoid(x)
struct SiluArgs {
  float* out;  // [n]; may alias x
  const float* x;
  int64_t n;
  Bounds before;
  Bounds after;
};

// The light convolution between its two linear layers: with [a, b] = before(x[t]) and g[t] = a ⊙
// sigmoid(b), out[t] = after(silu(RMS(Σ_j kernel[:, j] ⊙ g[t - J + 1 + j]) ⊙ norm)), where g is
// zero before the first row
struct LightConvArgs {
  float* out;           // [T, D]
  const float* x;       // [T, 2·D]
  const float* kernel;  // [J, D], oldest row first
  const float* norm;    // [D]
  int64_t tokens;       // T
  int64_t width;        // D
  int64_t taps;         // J
  float eps;
  Bounds before;
  Bounds after;
};

// Attention with relative positions: row i sees the keys j in (i - W, i], with scores
// cap · tanh((q' · k'_j + q' · relative[i - j]) / cap), q' = q[i] ⊙ q_scale, k'_j = k[j] · k_scale
struct LocalAttentionArgs {
  float* out;             // [T, H, Dh]
  const float* q;         // [T, H, Dh]
  const float* k;         // [T, H, Dh]
  const float* v;         // [T, H, Dh]
  const float* relative;  // [W, H, Dh]
  const float* q_scale;   // [Dh]
  float k_scale;
  float cap;
  int64_t tokens;    // T
  int64_t heads;     // H
  int64_t head_dim;  // Dh
  int64_t window;    // W <= kMostLocalKeys
};
inline constexpr int64_t kMostLocalKeys = 64;

// The vision tower (vision.md). N counts patches.

// Rotate-half position embedding in several axes, in place: part a of each head turns by the angles
// of axis a, its element i together with i + half
struct RopeAxesArgs {
  float* x;          // [N, heads, axes, 2 · half]
  const float* cos;  // [axes, N, half]
  const float* sin;  // [axes, N, half]
  int64_t tokens;    // N
  int64_t heads;
  int64_t axes;
  int64_t half;
};

// Means of squares of patches: out[c] = (mean(x of square c) · scale - bias) ⊙ weight
struct PoolArgs {
  float* out;           // [rows / side · cols / side, D], squares in raster order
  const float* x;       // [rows · cols, D], patches in raster order
  const float* bias;    // [D], or null for none
  const float* weight;  // [D], or null for none
  int64_t rows;         // multiples of `side`, as are
  int64_t cols;
  int64_t side;
  int64_t width;  // D
  float scale;
};

// out = (x - mean(x)) · (variance(x) + eps)^(-1/2) ⊙ weight + bias, over the last axis
struct LayerNormArgs {
  float* out;           // [rows, cols]; may alias x
  const float* x;       // [rows, cols]
  const float* weight;  // [cols]
  const float* bias;    // [cols]
  int64_t rows;
  int64_t cols;
  float eps;
};

// What follows saves launches and copies where those cost much. Such an entry may be null: src/ops
// then composes it of the entries above, in the order that the equation is written.

// out_i[t] = weight_i · x[t] for a few weights of one input
struct LinearGroupArgs {
  static constexpr int kMost = 3;
  const float* x;        // [T, K]
  int64_t tokens;        // T
  int count;             // 1 <= count <= kMost
  Matrix weight[kMost];  // [N_i, K], all of one storage type
  float* out[kMost];     // [T, N_i]
};

// out[t] = gelu_tanh(gate · x[t]) ⊙ (up · x[t]), or ⊙ multiplier[t] when there is no `up`
struct GatedLinearArgs {
  float* out;               // [T, F]
  const float* x;           // [T, K]
  int64_t tokens;           // T
  Matrix gate;              // [F, K]
  Matrix up;                // [F, K] in the storage type of `gate`, or empty
  const float* multiplier;  // [T, F], rows `multiplier_stride` elements apart, or null
  int64_t multiplier_stride;
};

// q = rope(RMS_w(q_raw)) and, where the layer owns a cache, rope(RMS_w(k_raw)) and RMS(v_raw) to
// each row's slot. The norms are over a head.
struct PrepareHeadsArgs {
  float* q;               // [T, Hq, Dh]
  const float* q_raw;     // [T, Hq, Dh]
  const float* k_raw;     // [T, Hkv, Dh], or null: no cache of its own
  const float* v_raw;     // [T, Hkv, Dh]; may be k_raw
  const float* q_weight;  // [Dh]
  const float* k_weight;  // [Dh]
  const float* cos;       // [T, Dh/2]
  const float* sin;       // [T, Dh/2]
  KvLayer cache;
  const int32_t* slots;  // [T]
  int64_t tokens;
  int64_t q_heads;
  float eps;
};

// sum = (x + RMS_w(h)) · scale and the norms of it that are asked for
struct AddNormedArgs {
  // out = RMS_w(sum) · scale
  struct Normed {
    float* out;           // [rows, cols], or null: neither this norm nor those after it
    const float* weight;  // [cols], or null for none
    float scale = 1.0f;
  };
  static constexpr int kMost = 3;
  float* sum;           // [rows, cols]; may alias x
  const float* x;       // [rows, cols]
  const float* h;       // [rows, cols]
  const float* weight;  // [cols], or null for none
  Normed normed[kMost] = {};
  int64_t rows;
  int64_t cols;
  float eps;
  float scale;
};

// The same for an update that two branches made, h' = RMS(sum.h) + RMS(other) in place of sum.h.
// Every RMS has a weight of its own.
struct AddBranchesArgs {
  AddNormedArgs sum;
  const float* h_weight;      // [cols]
  const float* other;         // [rows, cols]
  const float* other_weight;  // [cols]
};

// A layer's MLP and per-layer input added to the stream, between x and sum:
//   y = x + RMS(h);  sum = (y + RMS(projection · (gelu(gate · y) ⊙ per_layer))) · scale
// and, when asked for, normed = RMS(sum); D = gate.cols. Every RMS has a weight of its own.
struct LayerInputArgs {
  float* sum;              // [rows, D]; may alias x
  float* normed;           // [rows, D], or null
  const float* x;          // [rows, D]
  const float* h;          // [rows, D]
  const float* per_layer;  // rows of [P], per_layer_stride elements apart
  Matrix gate;             // [P, D]
  Matrix projection;       // [D, P]
  const float* post_mlp;   // norms [D]
  const float* post_input;
  const float* next_norm;  // of `normed`
  int64_t rows;
  int64_t per_layer_stride;
  float eps;
  float scale;
};

// One entry of a vocabulary by rank
struct RankedLogit {
  float logit;
  int32_t id;
};

// The kCount largest logits of each row, largest first, equal ones by rising id; NaN counts as
// -infinity. Rows of fewer logits end with entries whose id is -1.
struct BestLogitsArgs {
  static constexpr int64_t kCount = 128;
  RankedLogit* out;     // [R, kCount]
  const float* logits;  // [R, V]
  int64_t rows;         // R
  int64_t cols;         // V
};

struct Table {
  const char* name = "";  // "reference", "AVX3_DL", …
  int64_t max_head_dim = std::numeric_limits<int64_t>::max();
  bool reads_blocks = false;    // matrices may be quantised
  bool reads_packed = false;    // products look at Matrix::packed
  bool clips_products = false;  // linear looks at its bounds
  bool narrow_kv = false;       // keys and values may be kept in F16 and BF16 too
  bool quantised_kv = false;    // and in Q8_0
  void (*embed)(Queue, const EmbedArgs&) = nullptr;
  void (*combine_per_layer)(Queue, const CombinePerLayerArgs&) = nullptr;
  void (*rms_norm)(Queue, const RmsNormArgs&) = nullptr;
  void (*linear)(Queue, const LinearArgs&) = nullptr;
  void (*rope_table)(Queue, const RopeTableArgs&) = nullptr;
  void (*rope)(Queue, const RopeArgs&) = nullptr;
  void (*store_kv)(Queue, const StoreKvArgs&) = nullptr;
  void (*attention)(Queue, const AttentionArgs&) = nullptr;
  void (*gated_gelu)(Queue, const GatedGeluArgs&) = nullptr;
  void (*add)(Queue, const AddArgs&) = nullptr;
  void (*scale)(Queue, const ScaleArgs&) = nullptr;
  void (*gather_rows)(Queue, const GatherRowsArgs&) = nullptr;
  void (*soft_cap)(Queue, const SoftCapArgs&) = nullptr;
  void (*route)(Queue, const RouteArgs&) = nullptr;
  void (*experts)(Queue, const ExpertsArgs&) = nullptr;
  // The audio tower's; all null where it is left to the CPU
  void (*subsample)(Queue, const SubsampleArgs&) = nullptr;
  void (*clip)(Queue, const ClipArgs&) = nullptr;
  void (*silu)(Queue, const SiluArgs&) = nullptr;
  void (*light_conv)(Queue, const LightConvArgs&) = nullptr;
  void (*local_attention)(Queue, const LocalAttentionArgs&) = nullptr;
  // The vision tower's, likewise
  void (*rope_axes)(Queue, const RopeAxesArgs&) = nullptr;
  void (*pool)(Queue, const PoolArgs&) = nullptr;
  void (*layer_norm)(Queue, const LayerNormArgs&) = nullptr;
  // May stay null
  void (*linear_group)(Queue, const LinearGroupArgs&) = nullptr;
  void (*gated_linear)(Queue, const GatedLinearArgs&) = nullptr;
  void (*prepare_heads)(Queue, const PrepareHeadsArgs&) = nullptr;
  void (*add_normed)(Queue, const AddNormedArgs&) = nullptr;
  void (*add_branches)(Queue, const AddBranchesArgs&) = nullptr;
  void (*best_logits)(Queue, const BestLogitsArgs&) = nullptr;
  // For what can_add_layer_input takes; null together
  bool (*can_add_layer_input)(Queue, const LayerInputArgs&) = nullptr;
  void (*add_layer_input)(Queue, const LayerInputArgs&) = nullptr;
};

}  // namespace gemma4::kernels
