// Runs a grammar one byte at a time. All stacks that the input so far allows are one configuration;
// what a byte does to a configuration is worked out once and then looked up, so that matching is a
// walk through a table that grows as it is used.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "constrain/grammar.h"

namespace gemma4::constrain {

using ConfigId = int32_t;
inline constexpr ConfigId kDeadConfig = 0;  // no text can follow

// Sets of registers; equal ones have the same id, and 0 is the one of zeros that count.
class Registers {
 public:
  Registers() { find({}, Counting::kOn); }
  const std::vector<uint32_t>& words(uint32_t id) const { return sets_[id].words; }
  Counting counting(uint32_t id) const { return sets_[id].counting; }
  uint32_t find(std::vector<uint32_t> words, Counting counting);
  size_t bytes() const;                            // of memory, roughly
  size_t num_words() const { return num_words_; }  // of all sets

 private:
  struct Set {
    std::vector<uint32_t> words;
    Counting counting;
  };
  size_t num_words_ = 0;
  std::vector<Set> sets_;
  std::unordered_multimap<uint64_t, uint32_t> ids_;
};

// Not thread-safe. Its tables only grow: ask crowded() and move to a fresh one with adopt(). What
// would take too much memory or work is treated as impossible, and over_budget() says so.
class Explorer {
 public:
  // As many stacks may be possible at once: each following byte pays for all of them.
  static constexpr size_t kMostTops = 200000;

  explicit Explorer(std::shared_ptr<const Grammar> grammar);

  ConfigId start() const { return start_; }
  // The configuration behind one more byte, or kDeadConfig.
  ConfigId step(ConfigId config, uint8_t byte) {
    const ConfigId* row = rows_[config];
    if (row != nullptr && row[byte] >= 0) [[likely]]
      return row[byte];
    return expand(config, byte);
  }
  // The last byte of those that follow on `byte` and do the same as it.
  uint8_t last_alike(ConfigId config, uint8_t byte) const { return alike(config, byte).last; }
  // A configuration that does the same with the next `code_points` code points. Counts of code
  // points that no limit can tell apart until then are one, and stand still.
  ConfigId without_counts(ConfigId config, uint32_t code_points);
  // The bytes that may come next, and perhaps more.
  std::bitset<256> next_bytes(ConfigId config) const;
  // How many stacks are possible.
  size_t num_stacks(ConfigId config) const { return tops(config).size(); }
  // The same for a control token.
  ConfigId step_symbol(ConfigId config, int32_t symbol);

  // Whether the text may end here.
  bool can_end(ConfigId config) const { return configs_[config].can_end; }
  // Whether anything may follow.
  bool can_continue(ConfigId config) const { return !tops(config).empty(); }
  // Control tokens that may follow; may repeat.
  void append_symbols(ConfigId config, std::vector<int32_t>& symbols) const;
  // The one byte that can follow, or -1 if there are several, or the text may end, or a control
  // token may come.
  int forced_byte(ConfigId config) const;

  // True when the tables have grown beyond what one explorer should keep.
  bool crowded() const {
    return configs_.size() > kManyConfigs || nodes_.size() > kManyNodes ||
           tops_.size() > kManyStoredTops || registers_.num_words() > kManyRegisterWords;
  }
  // Steps from here on may do as much work as the first ones: some seconds.
  void renew_work() { work_left_ = kMostWork; }
  // True once something was treated as impossible because it would have taken too many states.
  bool over_budget() const { return over_budget_; }
  size_t bytes() const;  // of memory, roughly
  // The configuration here that equals `config` there. Both must run the same grammar.
  ConfigId adopt(const Explorer& other, ConfigId config);

  // Masks that were computed for configurations, kept by whoever computes them.
  std::vector<uint32_t>* find_mask(ConfigId config, const void* vocabulary);
  std::vector<uint32_t>& add_mask(ConfigId config);

 private:
  using NodeId = uint32_t;
  static constexpr NodeId kBottom = 0;
  static constexpr size_t kManyConfigs = 4096;
  static constexpr size_t kMostConfigs = 8 * kManyConfigs;
  static constexpr size_t kManyNodes = 1 << 18;
  static constexpr size_t kMostNodes = 16 * kManyNodes;
  static constexpr size_t kManyStoredTops = 1 << 21;
  static constexpr size_t kMostStoredTops = 16 * kManyStoredTops;
  static constexpr size_t kManyRegisterWords = 1 << 24;
  static constexpr size_t kMostRegisterWords = 4 * kManyRegisterWords;
  static constexpr int64_t kMostWork = 20'000'000;  // stacks visited, edges looked at
  static constexpr size_t kManyMasks = 128;

  // A stack: its top frame and the stack below. Equal stacks are the same node.
  struct Node {
    StateId state;
    uint32_t registers;
    NodeId below;
  };
  struct Config {
    uint32_t tops_begin, tops_end;  // in tops_
    bool can_end;
  };

  std::span<const NodeId> tops(ConfigId config) const {
    return std::span(tops_).subspan(configs_[config].tops_begin,
                                    configs_[config].tops_end - configs_[config].tops_begin);
  }
  const Grammar::State& state_of(NodeId node) const { return grammar_->states[nodes_[node].state]; }
  struct Bytes {
    uint8_t first, last;
  };
  Bytes alike(ConfigId config, uint8_t byte) const;
  ConfigId expand(ConfigId config, uint8_t byte);
  NodeId find_node(const Node& node);
  void grow_node_table();
  void visit(NodeId node);
  bool close();
  bool give_up();
  void follow(NodeId node, const Grammar::Jump& jump);
  bool apply(std::span<const Operation> operations, uint32_t& registers);
  uint32_t without_count(const Node& node, uint32_t code_points);
  ConfigId finish_config();

  std::shared_ptr<const Grammar> grammar_;
  std::vector<Node> nodes_;
  std::vector<NodeId> node_table_;  // open addressing; a power of two
  Registers registers_;
  std::vector<Config> configs_;
  std::vector<NodeId> tops_;
  std::unordered_multimap<uint64_t, ConfigId> config_ids_;
  std::vector<ConfigId*> rows_;  // [configs] 256 next configurations each, -1 for unknown
  std::deque<std::array<ConfigId, 256>> row_storage_;
  std::unordered_map<ConfigId, std::vector<uint32_t>> masks_;
  const void* masks_vocabulary_ = nullptr;
  ConfigId start_ = kDeadConfig;
  bool over_budget_ = false;
  int64_t work_left_ = kMostWork;

  // The configuration being built.
  std::vector<NodeId> work_, found_;
  std::vector<uint32_t> seen_;  // by node: the round in which it was visited last
  uint32_t round_ = 0;
  bool found_end_ = false;
};

}  // namespace gemma4::constrain
