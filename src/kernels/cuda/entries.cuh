// The entries of the CUDA kernel table, by file. Each launches on the queue's stream and returns.
#pragma once

#include "kernels/cuda/common.cuh"

namespace gemma4::kernels::cuda {

// elementwise.cu
void embed(Queue, const EmbedArgs&);
void combine_per_layer(Queue, const CombinePerLayerArgs&);
void rope_table(Queue, const RopeTableArgs&);
void rope(Queue, const RopeArgs&);
void store_kv(Queue, const StoreKvArgs&);
void gated_gelu(Queue, const GatedGeluArgs&);
void add(Queue, const AddArgs&);
void scale(Queue, const ScaleArgs&);
void gather_rows(Queue, const GatherRowsArgs&);
void soft_cap(Queue, const SoftCapArgs&);

// linear.cu
void linear(Queue, const LinearArgs&);
void linear_group(Queue, const LinearGroupArgs&);
void gated_linear(Queue, const GatedLinearArgs&);

// norms.cu
void rms_norm(Queue, const RmsNormArgs&);
void prepare_heads(Queue, const PrepareHeadsArgs&);
void add_normed(Queue, const AddNormedArgs&);
void add_branches(Queue, const AddBranchesArgs&);

// attention.cu
void attention(Queue, const AttentionArgs&);

// pack.cu: the bytes of a quantised weight's packed form, and writing it
size_t packed_bytes(const Matrix& weight);
void pack(Queue, const Matrix& weight, std::byte* out);

// best_logits.cu
void best_logits(Queue, const BestLogitsArgs&);

// layer_input.cu
bool can_add_layer_input(Queue, const LayerInputArgs&);
void add_layer_input(Queue, const LayerInputArgs&);

// audio.cu
void subsample(Queue, const SubsampleArgs&);
void clip(Queue, const ClipArgs&);
void silu(Queue, const SiluArgs&);
void light_conv(Queue, const LightConvArgs&);
void local_attention(Queue, const LocalAttentionArgs&);

// vision.cu
void rope_axes(Queue, const RopeAxesArgs&);
void pool(Queue, const PoolArgs&);
void layer_norm(Queue, const LayerNormArgs&);

// experts.cu
void route(Queue, const RouteArgs&);
void experts(Queue, const ExpertsArgs&);

}  // namespace gemma4::kernels::cuda
