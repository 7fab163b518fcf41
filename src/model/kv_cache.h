// Keys and values as block pools, one pool per kind of layer. A block holds `kBlockTokens`
// positions of every layer of its kind that owns K and V; layers that share read their donor's.
// Knows blocks, not requests.
//
// Sliding layers give a block back once it has left the window, so a long sequence keeps a rolling
// few. Sequences may share blocks that are full, which nobody writes any more; of one that is
// partly filled each has a copy. A block is free again when the last sequence has given it back.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/device.h"
#include "model/config.h"
#include "model/layer_plan.h"
#include "ops/context.h"

namespace gemma4::model {

inline constexpr int64_t kBlockTokens = 64;

// The blocks of one sequence for one kind of layer.
struct BlockTable {
  int32_t first = 0;            // number (position / kBlockTokens) of the first block kept
  std::vector<int32_t> blocks;  // physical blocks, in order of position
};

// A sequence's place in the cache.
struct KvSequence {
  std::array<BlockTable, kNumAttentionKinds> tables;  // by AttentionKind
  int64_t length = 0;                                 // positions stored
};

class KvCache {
 public:
  using BlockCounts = std::array<int64_t, kNumAttentionKinds>;

  // Takes memory of the device for `blocks` of each kind, whose elements are `dtype`. Errors: those
  // of check_type(), kUnsupported where the device's kernels lack the type, kResourceExhausted.
  static Result<KvCache> create(const TextConfig& text, BlockCounts blocks, DType dtype,
                                kernels::Device& device);
  // kUnsupported for a type that is none of kernels::kKvTypes, or whose blocks the heads of this
  // model do not fill.
  static Status check_type(const TextConfig& text, DType dtype);
  // A cache without memory, to measure with.
  static KvCache shape_only(const TextConfig& text);

  // Blocks that one sequence of `length` tokens, fed in chunks of at most `chunk`, needs at its
  // peak.
  static BlockCounts blocks_needed(const TextConfig& text, int64_t length, int64_t chunk);
  // Bytes of one block of a kind, over all its layers. check_type() must hold.
  static int64_t block_bytes(const TextConfig& text, AttentionKind kind, DType dtype);

  // Makes room for `tokens` more positions. False (and nothing changed) when a pool is exhausted.
  bool reserve(KvSequence& sequence, int64_t tokens);
  // Counts `tokens` positions as stored and gives back blocks that no later query can see.
  void commit(KvSequence& sequence, int64_t tokens);
  // Forgets everything from `length` on; a block that is then partly filled must be owned alone.
  // False (nothing changed) unless can_resume().
  bool truncate(KvSequence& sequence, int64_t length);
  void release(KvSequence& sequence);

  // Whether `sequence` still has the blocks that a query at position `length` sees.
  bool can_resume(const KvSequence& sequence, int64_t length) const;
  // A second sequence of the first `length` positions, which can_resume(), or are stored and not
  // committed yet. It reads the same full blocks and writes others; a block that `length` ends in
  // is copied. Nothing (and nothing changed) when there is no free block for that.
  std::optional<KvSequence> share(const KvSequence& sequence, int64_t length);
  // Whether no other sequence has the blocks of `position`, so that this one may write there.
  bool owns_alone(const KvSequence& sequence, int64_t position) const;

  // The bytes of the blocks of a sequence: by kind, block and layer, keys before values. Only a
  // cache of the same shape and type, under the same kernels, can read them.
  std::vector<std::byte> save(const KvSequence& sequence, kernels::Device& device) const;
  // A sequence of `length` positions with those bytes, whose sliding layers begin with block
  // `sliding_first`. Nothing when there are not enough free blocks, or the sizes do not fit.
  std::optional<KvSequence> restore(int64_t length, int32_t sliding_first,
                                    std::span<const std::byte> bytes, kernels::Device& device);

  // Physical slot of a stored or reserved position.
  static int64_t slot(const BlockTable& table, int64_t position);
  // The storage that layer `layer` reads: its own or its donor's.
  kernels::KvLayer layer(int layer);
  int64_t free_blocks(AttentionKind kind) const {
    return static_cast<int64_t>(free_[static_cast<size_t>(index_of(kind))].size());
  }

 private:
  struct Storage {
    kernels::Device::Memory k;
    kernels::Device::Memory v;
    int64_t heads = 0;
    int64_t head_dim = 0;
  };
  KvCache(const TextConfig& text, BlockCounts blocks);
  void drop_front(BlockTable& table, AttentionKind kind, int64_t first_block);
  void give_back(size_t kind, int32_t block);
  // In the storage of every layer of that kind.
  void copy_block(AttentionKind kind, int64_t to, int64_t from);
  size_t block_bytes(const Storage& storage) const;  // of one layer's keys
  // Calls `visit(memory, bytes)` for every part of a block that save() writes.
  template <typename Visit>
  void for_each_part(const KvSequence& sequence, Visit visit) const;
  // The first that a query at position `length` sees.
  int32_t first_sliding_block(int64_t length) const;
  std::vector<Storage> storage_;      // per layer; empty where the layer shares
  std::vector<int> kv_layer_;         // per layer: whose storage it reads
  std::vector<AttentionKind> kinds_;  // per layer
  DType dtype_ = DType::kF32;
  std::array<std::vector<int32_t>, kNumAttentionKinds> free_;
  std::array<std::vector<int32_t>, kNumAttentionKinds> references_;  // by block: sequences
  int64_t window_ = 0;
  kernels::Device* device_ = nullptr;  // of the storage
};

}  // namespace gemma4::model
