#include "constrain/explorer.h"

#include <algorithm>

#include "base/check.h"
#include "constrain/footprint.h"

namespace gemma4::constrain {
namespace {

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15U;
  return hash ^ hash >> 32;
}

}  // namespace

uint32_t Registers::find(std::vector<uint32_t> words, Counting counting) {
  while (!words.empty() && words.back() == 0) words.pop_back();
  uint64_t hash = 2 * words.size() + static_cast<uint64_t>(counting);
  for (const uint32_t word : words) hash = mix(hash, word);
  const auto [begin, end] = ids_.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (sets_[it->second].words == words && sets_[it->second].counting == counting)
      return it->second;
  num_words_ += words.size();
  sets_.push_back({std::move(words), counting});
  const auto id = static_cast<uint32_t>(sets_.size() - 1);
  ids_.emplace(hash, id);
  return id;
}

// All sets are taken to be as long as the last, the deepest so far: there can be too many to ask.
size_t Registers::bytes() const {
  return bytes_of(sets_) + sets_.size() * (kPerMapEntry + bytes_of(sets_.back().words));
}

Explorer::Explorer(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
  node_table_.assign(1024, kBottom);
  nodes_.push_back({-1, 0, kBottom});  // the bottom of all stacks
  seen_.push_back(0);
  configs_.push_back({0, 0, false});  // kDeadConfig
  rows_.push_back(nullptr);
  ++round_;
  visit(find_node({grammar_->rule_starts[grammar_->root], 0, kBottom}));
  if (close()) start_ = finish_config();
}

Explorer::NodeId Explorer::find_node(const Node& node) {
  uint64_t hash = mix(static_cast<uint32_t>(node.state), node.registers);
  hash = mix(hash, node.below);
  const size_t last = node_table_.size() - 1;
  size_t slot = hash & last;
  for (; node_table_[slot] != kBottom; slot = (slot + 1) & last) {
    const Node& other = nodes_[node_table_[slot]];
    if (other.state == node.state && other.registers == node.registers && other.below == node.below)
      return node_table_[slot];
  }
  const auto id = static_cast<NodeId>(nodes_.size());
  nodes_.push_back(node);
  seen_.push_back(0);
  node_table_[slot] = id;
  if (nodes_.size() * 2 > node_table_.size()) grow_node_table();
  return id;
}

void Explorer::grow_node_table() {
  std::vector<NodeId> table(node_table_.size() * 2, kBottom);
  const size_t last = table.size() - 1;
  for (NodeId id = 1; id < nodes_.size(); ++id) {
    const Node& node = nodes_[id];
    size_t slot = mix(mix(static_cast<uint32_t>(node.state), node.registers), node.below) & last;
    while (table[slot] != kBottom) slot = (slot + 1) & last;
    table[slot] = id;
  }
  node_table_ = std::move(table);
}

void Explorer::visit(NodeId node) {
  if (seen_[node] == round_) return;
  seen_[node] = round_;
  work_.push_back(node);
}

// Follows all moves without input from the nodes that wait in work_. False, with nothing found, if
// that is too much.
bool Explorer::close() {
  while (!work_.empty()) {
    const NodeId id = work_.back();
    work_.pop_back();
    const Grammar::State& state = state_of(id);
    work_left_ -= 1 + state.jumps_end - state.jumps_begin;
    if (work_left_ <= 0 || found_.size() > kMostTops || nodes_.size() > kMostNodes)
      return give_up();
    if (state.bytes_begin != state.bytes_end || state.symbols_begin != state.symbols_end)
      found_.push_back(id);
    if (state.accepts) {
      const NodeId below = nodes_[id].below;
      if (below == kBottom) {
        found_end_ = true;
      } else {
        visit(below);
      }
    }
    for (uint32_t i = state.jumps_begin; i < state.jumps_end && work_left_ > 0; ++i)
      follow(id, grammar_->jumps[i]);
  }
  const bool fits = work_left_ > 0 && tops_.size() + found_.size() <= kMostStoredTops;
  return fits || give_up();
}

bool Explorer::give_up() {
  over_budget_ = true;
  work_.clear();
  found_.clear();
  found_end_ = false;
  return false;
}

void Explorer::follow(NodeId id, const Grammar::Jump& jump) {
  const Node node = nodes_[id];
  uint32_t registers = node.registers;
  const std::span<const Operation> operations =
      std::span(grammar_->operations)
          .subspan(jump.operations_begin, jump.operations_end - jump.operations_begin);
  if (!operations.empty() && !apply(operations, registers)) return;
  if (jump.call < 0) {
    visit(find_node({jump.next, registers, node.below}));
    return;
  }
  // A call that is the last thing a rule does needs no frame to return to.
  const NodeId below = grammar_->states[jump.next].only_accepts
                           ? node.below
                           : find_node({jump.next, registers, node.below});
  visit(find_node({grammar_->rule_starts[jump.call], 0, below}));
}

bool Explorer::apply(std::span<const Operation> operations, uint32_t& registers) {
  std::vector<uint32_t> values = registers_.words(registers);
  work_left_ -= static_cast<int64_t>(values.size() / 16);
  if (registers_.num_words() > kMostRegisterWords) work_left_ = 0;
  const Counting counting = registers_.counting(registers);
  for (const Operation& operation : operations)
    if (!apply_operation(*grammar_, operation, values, counting)) return false;
  registers = registers_.find(std::move(values), counting);
  return true;
}

// The id of the configuration that has been collected in found_ and found_end_; resets both.
ConfigId Explorer::finish_config() {
  std::sort(found_.begin(), found_.end());
  uint64_t hash = found_end_ ? 1 : 0;
  for (const NodeId node : found_) hash = mix(hash, node);
  ConfigId id = kDeadConfig;
  const auto [begin, end] = config_ids_.equal_range(hash);
  const auto same = std::find_if(begin, end, [&](const auto& entry) {
    const auto other = tops(entry.second);
    return configs_[entry.second].can_end == found_end_ &&
           std::equal(other.begin(), other.end(), found_.begin(), found_.end());
  });
  if (same != end) {
    id = same->second;
  } else if (!found_.empty() || found_end_) {
    if (configs_.size() >= kMostConfigs) {
      over_budget_ = true;
    } else {
      id = static_cast<ConfigId>(configs_.size());
      const auto tops_begin = static_cast<uint32_t>(tops_.size());
      tops_.insert(tops_.end(), found_.begin(), found_.end());
      configs_.push_back({tops_begin, static_cast<uint32_t>(tops_.size()), found_end_});
      rows_.push_back(nullptr);
      config_ids_.emplace(hash, id);
    }
  }
  found_.clear();
  found_end_ = false;
  return id;
}

ConfigId Explorer::expand(ConfigId config, uint8_t byte) {
  if (config == kDeadConfig) return kDeadConfig;
  if (rows_[config] == nullptr) {
    row_storage_.emplace_back().fill(-1);
    rows_[config] = row_storage_.back().data();
  }
  ++round_;
  const size_t tops_end = configs_[config].tops_end;
  for (size_t t = configs_[config].tops_begin; t < tops_end && work_left_ > 0; ++t) {
    const Node node = nodes_[tops_[t]];
    const Grammar::State& state = grammar_->states[node.state];
    work_left_ -= state.bytes_end - state.bytes_begin;
    for (uint32_t i = state.bytes_begin; i < state.bytes_end; ++i) {
      const Grammar::ByteEdge& edge = grammar_->byte_edges[i];
      if (edge.first <= byte && byte <= edge.last)
        visit(find_node({edge.next, node.registers, node.below}));
    }
  }
  if (!close()) return kDeadConfig;
  const ConfigId next = finish_config();
  const Bytes bytes = alike(config, byte);
  std::fill(rows_[config] + bytes.first, rows_[config] + bytes.last + 1, next);
  return next;
}

std::bitset<256> Explorer::next_bytes(ConfigId config) const {
  std::bitset<256> bytes;
  for (const NodeId node : tops(config)) {
    const Grammar::State& state = state_of(node);
    for (uint32_t i = state.bytes_begin; i < state.bytes_end; ++i) {
      const Grammar::ByteEdge& edge = grammar_->byte_edges[i];
      bytes |= ~std::bitset<256>() >> (255 - (edge.last - edge.first)) << edge.first;
    }
  }
  return bytes;
}

// The bytes around `byte` that no edge tells apart from it.
Explorer::Bytes Explorer::alike(ConfigId config, uint8_t byte) const {
  Bytes alike{0x00, 0xFF};
  for (const NodeId node : tops(config)) {
    const Grammar::State& state = state_of(node);
    for (uint32_t i = state.bytes_begin; i < state.bytes_end; ++i) {
      const Grammar::ByteEdge& edge = grammar_->byte_edges[i];
      if (edge.first <= byte) alike.first = std::max(alike.first, edge.first);
      if (edge.first > byte) alike.last = std::min<uint8_t>(alike.last, edge.first - 1);
      if (edge.last >= byte) alike.last = std::min(alike.last, edge.last);
      if (edge.last < byte) alike.first = std::max<uint8_t>(alike.first, edge.last + 1);
    }
  }
  return alike;
}

ConfigId Explorer::without_counts(ConfigId config, uint32_t code_points) {
  const auto counts = [&](NodeId node) { return state_of(node).text_counter >= 0; };
  const auto all = tops(config);
  if (std::none_of(all.begin(), all.end(), counts)) return config;
  for (const NodeId top : all) {
    const Node node = nodes_[top];
    found_.push_back(
        counts(top) ? find_node({node.state, without_count(node, code_points), node.below}) : top);
  }
  found_end_ = can_end(config);
  return finish_config();
}

// The registers of a frame that counts code points, with the least count that is like theirs.
uint32_t Explorer::without_count(const Node& node, uint32_t code_points) {
  const Grammar::TextCounter& limits =
      grammar_->text_counters[grammar_->states[node.state].text_counter];
  std::vector<uint32_t> words = registers_.words(node.registers);
  const uint32_t count = words.empty() ? 0 : words[0];
  const auto next = std::upper_bound(limits.begin(), limits.end(), count);
  // A token may also complete a code point, behind which the next one is counted.
  if (next != limits.end() && *next - count <= code_points + 1) return node.registers;
  const uint32_t least = next == limits.begin() ? 0 : *std::prev(next);
  words.assign(1, least);
  return registers_.find(std::move(words), Counting::kOff);
}

ConfigId Explorer::step_symbol(ConfigId config, int32_t symbol) {
  ++round_;
  for (size_t t = configs_[config].tops_begin; t < configs_[config].tops_end; ++t) {
    const Node node = nodes_[tops_[t]];
    const Grammar::State& state = grammar_->states[node.state];
    work_left_ -= state.symbols_end - state.symbols_begin;
    for (uint32_t i = state.symbols_begin; i < state.symbols_end; ++i)
      if (grammar_->symbol_edges[i].symbol == symbol)
        visit(find_node({grammar_->symbol_edges[i].next, node.registers, node.below}));
  }
  return close() ? finish_config() : kDeadConfig;
}

void Explorer::append_symbols(ConfigId config, std::vector<int32_t>& symbols) const {
  for (const NodeId node : tops(config)) {
    const Grammar::State& state = state_of(node);
    for (uint32_t i = state.symbols_begin; i < state.symbols_end; ++i)
      symbols.push_back(grammar_->symbol_edges[i].symbol);
  }
}

int Explorer::forced_byte(ConfigId config) const {
  if (can_end(config)) return -1;
  int forced = -1;
  for (const NodeId node : tops(config)) {
    const Grammar::State& state = state_of(node);
    if (state.symbols_begin != state.symbols_end) return -1;
    for (uint32_t i = state.bytes_begin; i < state.bytes_end; ++i) {
      const Grammar::ByteEdge& edge = grammar_->byte_edges[i];
      if (edge.first != edge.last || (forced >= 0 && edge.first != forced)) return -1;
      forced = edge.first;
    }
  }
  return forced;
}

ConfigId Explorer::adopt(const Explorer& other, ConfigId config) {
  G4_CHECK(grammar_ == other.grammar_);
  std::unordered_map<NodeId, NodeId> names{{kBottom, kBottom}};
  std::vector<NodeId> path;
  for (const NodeId top : other.tops(config)) {
    for (NodeId node = top; !names.contains(node); node = other.nodes_[node].below)
      path.push_back(node);
    for (; !path.empty(); path.pop_back()) {
      const Node& node = other.nodes_[path.back()];
      const uint32_t registers = registers_.find(other.registers_.words(node.registers),
                                                 other.registers_.counting(node.registers));
      names[path.back()] = find_node({node.state, registers, names[node.below]});
    }
    found_.push_back(names[top]);
  }
  found_end_ = other.can_end(config);
  return finish_config();
}

std::vector<uint32_t>* Explorer::find_mask(ConfigId config, const void* vocabulary) {
  if (masks_vocabulary_ != vocabulary) masks_.clear();
  masks_vocabulary_ = vocabulary;
  const auto it = masks_.find(config);
  return it == masks_.end() ? nullptr : &it->second;
}

std::vector<uint32_t>& Explorer::add_mask(ConfigId config) {
  if (masks_.size() >= kManyMasks) masks_.clear();
  return masks_[config];
}

// All masks are over one vocabulary.
size_t Explorer::bytes() const {
  const size_t mask = masks_.empty() ? 0 : bytes_of(masks_.begin()->second);
  return sizeof(*this) + bytes_of(nodes_) + bytes_of(node_table_) + registers_.bytes() +
         bytes_of(configs_) + bytes_of(tops_) + config_ids_.size() * kPerMapEntry +
         bytes_of(rows_) + row_storage_.size() * sizeof(row_storage_[0]) +
         masks_.size() * (kPerMapEntry + mask) + bytes_of(seen_);
}

}  // namespace gemma4::constrain
