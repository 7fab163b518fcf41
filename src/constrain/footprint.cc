// How much memory grammars and their tables hold, for whoever keeps many of them.

#include "constrain/explorer.h"
#include "constrain/grammar.h"
#include "constrain/matcher.h"

namespace gemma4::constrain {
namespace {

constexpr size_t kPerMapEntry = 48;  // a node of a hash map, its link and what malloc adds

template <typename T>
size_t bytes_of(const std::vector<T>& items) {
  return items.capacity() * sizeof(T);
}

}  // namespace

size_t Grammar::bytes() const {
  size_t bytes = sizeof(*this) + bytes_of(states) + bytes_of(byte_edges) + bytes_of(symbol_edges) +
                 bytes_of(jumps) + bytes_of(operations) + bytes_of(masks) + bytes_of(rule_starts);
  for (const auto& mask : masks) bytes += bytes_of(mask);
  return bytes;
}

// All sets are taken to be as long as the last, the deepest so far: there can be too many to ask.
size_t Registers::bytes() const {
  return bytes_of(sets_) + sets_.size() * (kPerMapEntry + bytes_of(sets_.back()));
}

// All masks are over one vocabulary.
size_t Explorer::bytes() const {
  const size_t mask = masks_.empty() ? 0 : bytes_of(masks_.begin()->second);
  return sizeof(*this) + bytes_of(nodes_) + bytes_of(node_table_) + registers_.bytes() +
         bytes_of(configs_) + bytes_of(tops_) + config_ids_.size() * kPerMapEntry +
         bytes_of(rows_) + row_storage_.size() * sizeof(row_storage_[0]) +
         masks_.size() * (kPerMapEntry + mask) + bytes_of(seen_);
}

size_t CompiledGrammar::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = sizeof(*this) + grammar_->bytes();
  for (const auto& explorer : idle_) bytes += explorer->bytes();
  return bytes;
}

}  // namespace gemma4::constrain
