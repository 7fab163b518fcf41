#include "model/kv_cache.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace gemma4::model {
namespace {

constexpr AttentionKind kKinds[] = {AttentionKind::kSliding, AttentionKind::kFull};

int64_t blocks_for(int64_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

}  // namespace

KvCache::KvCache(const TextConfig& text, BlockCounts blocks) : window_(text.sliding_window) {
  for (const LayerPlan& plan : plan_layers(text)) {
    storage_.push_back({.heads = plan.num_kv_heads, .head_dim = plan.head_dim});
    kv_layer_.push_back(plan.kv_layer);
    kinds_.push_back(plan.kind);
  }
  for (const AttentionKind kind : kKinds) {
    auto& list = free_[static_cast<size_t>(index_of(kind))];
    references_[static_cast<size_t>(index_of(kind))].resize(
        static_cast<size_t>(blocks[static_cast<size_t>(index_of(kind))]));
    for (int64_t block = blocks[static_cast<size_t>(index_of(kind))]; block > 0; --block)
      list.push_back(
          static_cast<int32_t>(block - 1));  // handed out from the back: low numbers first
  }
}

KvCache KvCache::shape_only(const TextConfig& text) { return KvCache(text, {}); }

Status KvCache::check_type(const TextConfig& text, DType dtype) {
  const std::string what = str_cat("keys and values in ", name_of(dtype), ": ");
  if (std::ranges::find(kernels::kKvTypes, dtype) == std::end(kernels::kKvTypes))
    return Error{ErrorCode::kUnsupported, what + "a cache cannot have this type"};
  for (const LayerPlan& plan : plan_layers(text))
    if (plan.head_dim % info_of(dtype).block_elements != 0)
      return Error{ErrorCode::kUnsupported,
                   str_cat(what, "heads of ", plan.head_dim, " elements are no whole blocks of ",
                           info_of(dtype).block_elements, "; use another type")};
  return {};
}

Result<KvCache> KvCache::create(const TextConfig& text, BlockCounts blocks, DType dtype,
                                kernels::Device& device) {
  G4_RETURN_IF_ERROR(check_type(text, dtype));
  const kernels::Table& table = device.table();
  if (dtype != DType::kF32 && !(is_block_dtype(dtype) ? table.quantised_kv : table.narrow_kv))
    return Error{ErrorCode::kUnsupported,
                 str_cat("keys and values in ", name_of(dtype), ": ", device.name(),
                         " keeps them in F32", table.narrow_kv ? ", F16 or BF16" : "", " only")};
  KvCache cache(text, blocks);
  cache.dtype_ = dtype;
  cache.device_ = &device;
  for (const LayerPlan& plan : plan_layers(text)) {
    if (!plan.owns_kv) continue;
    Storage& storage = cache.storage_[static_cast<size_t>(plan.index)];
    const auto rows =
        blocks[static_cast<size_t>(index_of(plan.kind))] * plan.num_kv_heads * kBlockTokens;
    const auto bytes = static_cast<size_t>(rows * row_bytes(dtype, plan.head_dim));
    G4_ASSIGN_OR_RETURN(storage.k, device.allocate(bytes));
    G4_ASSIGN_OR_RETURN(storage.v, device.allocate(bytes));
  }
  return cache;
}

KvCache::BlockCounts KvCache::blocks_needed(const TextConfig& text, int64_t length, int64_t chunk) {
  // The window may begin, and the chunk end, anywhere inside a block.
  const int64_t rolling = blocks_for(text.sliding_window - 1 + chunk) + 1;
  return {std::min(blocks_for(length), rolling), blocks_for(length)};
}

int64_t KvCache::block_bytes(const TextConfig& text, AttentionKind kind, DType dtype) {
  int64_t bytes = 0;
  for (const LayerPlan& plan : plan_layers(text))
    if (plan.owns_kv && plan.kind == kind)
      bytes += 2 * plan.num_kv_heads * kBlockTokens * row_bytes(dtype, plan.head_dim);
  return bytes;
}

bool KvCache::reserve(KvSequence& sequence, int64_t tokens) {
  std::array<int64_t, kNumAttentionKinds> missing{};
  for (const AttentionKind kind : kKinds) {
    const auto i = static_cast<size_t>(index_of(kind));
    const BlockTable& table = sequence.tables[i];
    const int64_t end = blocks_for(sequence.length + tokens);
    missing[i] =
        std::max<int64_t>(0, end - table.first - static_cast<int64_t>(table.blocks.size()));
    if (missing[i] > static_cast<int64_t>(free_[i].size())) return false;
  }
  for (size_t i = 0; i < missing.size(); ++i)
    for (int64_t n = 0; n < missing[i]; ++n) {
      const int32_t block = free_[i].back();
      free_[i].pop_back();
      references_[i][static_cast<size_t>(block)] = 1;
      sequence.tables[i].blocks.push_back(block);
    }
  return true;
}

void KvCache::commit(KvSequence& sequence, int64_t tokens) {
  sequence.length += tokens;
  drop_front(sequence.tables[static_cast<size_t>(index_of(AttentionKind::kSliding))],
             AttentionKind::kSliding, first_sliding_block(sequence.length));
}

void KvCache::drop_front(BlockTable& table, AttentionKind kind, int64_t first_block) {
  const auto count =
      std::min<int64_t>(first_block - table.first, static_cast<int64_t>(table.blocks.size()));
  if (count <= 0) return;
  for (int64_t i = 0; i < count; ++i)
    give_back(static_cast<size_t>(index_of(kind)), table.blocks[static_cast<size_t>(i)]);
  table.blocks.erase(table.blocks.begin(), table.blocks.begin() + count);
  table.first += static_cast<int32_t>(count);
}

void KvCache::give_back(size_t kind, int32_t block) {
  int32_t& references = references_[kind][static_cast<size_t>(block)];
  G4_CHECK_LT(0, references);
  if (--references == 0) free_[kind].push_back(block);
}

bool KvCache::can_resume(const KvSequence& sequence, int64_t length) const {
  const BlockTable& sliding =
      sequence.tables[static_cast<size_t>(index_of(AttentionKind::kSliding))];
  return length <= sequence.length &&
         (sliding.first == 0 || first_sliding_block(length) >= sliding.first);
}

bool KvCache::owns_alone(const KvSequence& sequence, int64_t position) const {
  for (const AttentionKind kind : kKinds) {
    const auto i = static_cast<size_t>(index_of(kind));
    const int64_t block = slot(sequence.tables[i], position) / kBlockTokens;
    if (references_[i][static_cast<size_t>(block)] != 1) return false;
  }
  return true;
}

std::optional<KvSequence> KvCache::share(const KvSequence& sequence, int64_t length) {
  const int64_t end = length / kBlockTokens;  // of the full blocks
  KvSequence shared{.length = end * kBlockTokens};
  for (const AttentionKind kind : kKinds) {
    const auto i = static_cast<size_t>(index_of(kind));
    const BlockTable& from = sequence.tables[i];
    BlockTable& to = shared.tables[i];
    to.first = kind == AttentionKind::kSliding ? first_sliding_block(length) : 0;
    G4_CHECK(to.first >= from.first &&
             blocks_for(length) <= from.first + static_cast<int64_t>(from.blocks.size()));
    to.blocks.assign(from.blocks.begin() + (to.first - from.first),
                     from.blocks.begin() + (end - from.first));
    for (const int32_t block : to.blocks) ++references_[i][static_cast<size_t>(block)];
  }
  if (shared.length == length) return shared;
  if (!reserve(shared, length - shared.length)) {
    release(shared);
    return std::nullopt;
  }
  shared.length = length;
  for (const AttentionKind kind : kKinds) {
    const auto i = static_cast<size_t>(index_of(kind));
    copy_block(kind, slot(shared.tables[i], length - 1) / kBlockTokens,
               slot(sequence.tables[i], length - 1) / kBlockTokens);
  }
  return shared;
}

size_t KvCache::block_bytes(const Storage& storage) const {
  return static_cast<size_t>(storage.heads * kBlockTokens * row_bytes(dtype_, storage.head_dim));
}

void KvCache::copy_block(AttentionKind kind, int64_t to, int64_t from) {
  for (size_t layer = 0; layer < storage_.size(); ++layer) {
    const Storage& storage = storage_[layer];
    if (kinds_[layer] != kind || storage.k == nullptr) continue;
    const size_t bytes = block_bytes(storage);
    for (const kernels::Device::Memory* memory : {&storage.k, &storage.v})
      device_->copy(memory->get() + static_cast<size_t>(to) * bytes,
                    memory->get() + static_cast<size_t>(from) * bytes, bytes);
  }
}

int32_t KvCache::first_sliding_block(int64_t length) const {
  // The query at `length` sees `window_` keys, itself included.
  return static_cast<int32_t>(std::max<int64_t>(0, length - window_ + 1) / kBlockTokens);
}

bool KvCache::truncate(KvSequence& sequence, int64_t length) {
  G4_CHECK_LE(length, sequence.length);
  if (!can_resume(sequence, length)) return false;
  for (const AttentionKind kind : kKinds) {
    const auto i = static_cast<size_t>(index_of(kind));
    BlockTable& table = sequence.tables[i];
    while (table.first + static_cast<int64_t>(table.blocks.size()) >
           std::max<int64_t>(blocks_for(length), table.first)) {
      give_back(i, table.blocks.back());
      table.blocks.pop_back();
    }
  }
  sequence.length = length;
  return true;
}

void KvCache::release(KvSequence& sequence) {
  for (size_t i = 0; i < free_.size(); ++i)
    for (const int32_t block : sequence.tables[i].blocks) give_back(i, block);
  sequence = {};
}

template <typename Visit>
void KvCache::for_each_part(const KvSequence& sequence, Visit visit) const {
  for (const AttentionKind kind : kKinds) {
    const BlockTable& table = sequence.tables[static_cast<size_t>(index_of(kind))];
    for (int64_t n = table.first; n < blocks_for(sequence.length); ++n) {
      const auto block = static_cast<size_t>(table.blocks[static_cast<size_t>(n - table.first)]);
      for (size_t layer = 0; layer < storage_.size(); ++layer) {
        const Storage& storage = storage_[layer];
        if (kinds_[layer] != kind || storage.k == nullptr) continue;
        const size_t bytes = block_bytes(storage);
        for (const kernels::Device::Memory* memory : {&storage.k, &storage.v})
          visit(memory->get() + block * bytes, bytes);
      }
    }
  }
}

std::vector<std::byte> KvCache::save(const KvSequence& sequence, kernels::Device& device) const {
  size_t size = 0;
  for_each_part(sequence, [&](std::byte*, size_t bytes) { size += bytes; });
  std::vector<std::byte> saved(size);
  std::byte* to = saved.data();
  for_each_part(sequence, [&](std::byte* memory, size_t bytes) {
    device.download(to, memory, bytes);
    to += bytes;
  });
  return saved;
}

std::optional<KvSequence> KvCache::restore(int64_t length, int32_t sliding_first,
                                           std::span<const std::byte> bytes,
                                           kernels::Device& device) {
  if (length < 1 || sliding_first < 0 || sliding_first > first_sliding_block(length))
    return std::nullopt;
  KvSequence sequence;
  sequence.tables[static_cast<size_t>(index_of(AttentionKind::kSliding))].first = sliding_first;
  if (!reserve(sequence, length)) return std::nullopt;
  sequence.length = length;
  size_t size = 0;
  for_each_part(sequence, [&](std::byte*, size_t part) { size += part; });
  if (size != bytes.size()) {
    release(sequence);
    return std::nullopt;
  }
  const std::byte* from = bytes.data();
  for_each_part(sequence, [&](std::byte* memory, size_t part) {
    device.upload(memory, from, part);
    from += part;
  });
  return sequence;
}

int64_t KvCache::slot(const BlockTable& table, int64_t position) {
  const int64_t block = position / kBlockTokens - table.first;
  G4_CHECK(block >= 0 && block < static_cast<int64_t>(table.blocks.size()));
  return table.blocks[static_cast<size_t>(block)] * kBlockTokens + position % kBlockTokens;
}

kernels::KvLayer KvCache::layer(int layer) {
  const Storage& storage = storage_[static_cast<size_t>(kv_layer_[static_cast<size_t>(layer)])];
  return {storage.k.get(), storage.v.get(), storage.heads, storage.head_dim, kBlockTokens, dtype_};
}

}  // namespace gemma4::model
