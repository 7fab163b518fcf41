// What the tests of this folder share: a recogniser that is slow and obviously right, and patience.
#pragma once

#include <cstdlib>
#include <ctime>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "constrain/explorer.h"
#include "constrain/grammar.h"

namespace gemma4::constrain {

// Seconds that something may take which takes `seconds` on a slow machine: sanitizers and emulated
// CPUs cost more.
inline double time_limit(double seconds) {
  if (const char* slowness = std::getenv("GEMMA4_TEST_SLOWNESS")) seconds *= std::atof(slowness);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 15 * seconds;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return 15 * seconds;
#endif
#endif
  return seconds;
}

// Processor time of this process since the stopwatch was made: other programs may take their time.
class Stopwatch {
 public:
  double seconds() const { return static_cast<double>(std::clock() - begin_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t begin_ = std::clock();
};

// Keeps all stacks as plain vectors, frame by frame, with nothing shared and nothing remembered.
class NaiveMatcher {
 public:
  explicit NaiveMatcher(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
    close({{{grammar_->rule_starts[grammar_->root], {}}}});
  }

  bool accept_bytes(std::string_view text) {
    for (const char c : text) {
      std::vector<Stack> next;
      for (const Stack& stack : stacks_) {
        const Grammar::State& state = grammar_->states[stack.back().first];
        for (uint32_t i = state.bytes_begin; i < state.bytes_end; ++i) {
          const auto& edge = grammar_->byte_edges[i];
          if (edge.first <= static_cast<uint8_t>(c) && static_cast<uint8_t>(c) <= edge.last)
            next.push_back(moved(stack, edge.next));
        }
      }
      close(std::move(next));
    }
    return alive();
  }
  bool accept_symbol(int32_t symbol) {
    std::vector<Stack> next;
    for (const Stack& stack : stacks_) {
      const Grammar::State& state = grammar_->states[stack.back().first];
      for (uint32_t i = state.symbols_begin; i < state.symbols_end; ++i)
        if (grammar_->symbol_edges[i].symbol == symbol)
          next.push_back(moved(stack, grammar_->symbol_edges[i].next));
    }
    close(std::move(next));
    return alive();
  }
  bool can_end() const { return can_end_; }
  bool alive() const { return can_end_ || !stacks_.empty(); }

 private:
  using Frame = std::pair<StateId, std::vector<uint32_t>>;
  using Stack = std::vector<Frame>;

  static Stack moved(Stack stack, StateId state) {
    stack.back().first = state;
    return stack;
  }

  void close(std::vector<Stack> work) {
    std::set<Stack> seen;
    stacks_.clear();
    can_end_ = false;
    while (!work.empty()) {
      const Stack stack = std::move(work.back());
      work.pop_back();
      if (!seen.insert(stack).second) continue;
      const Grammar::State& state = grammar_->states[stack.back().first];
      if (state.bytes_begin != state.bytes_end || state.symbols_begin != state.symbols_end)
        stacks_.insert(stack);
      if (state.accepts) {
        Stack rest = stack;
        rest.pop_back();
        if (rest.empty()) {
          can_end_ = true;
        } else {
          work.push_back(std::move(rest));
        }
      }
      for (uint32_t i = state.jumps_begin; i < state.jumps_end; ++i) {
        const Grammar::Jump& jump = grammar_->jumps[i];
        Stack next = moved(stack, jump.next);
        bool passes = true;
        for (uint32_t o = jump.operations_begin; o < jump.operations_end && passes; ++o)
          passes = apply_operation(*grammar_, grammar_->operations[o], next.back().second);
        if (!passes) continue;
        if (jump.call >= 0) next.push_back({grammar_->rule_starts[jump.call], {}});
        work.push_back(std::move(next));
      }
    }
  }

  std::shared_ptr<const Grammar> grammar_;
  std::set<Stack> stacks_;
  bool can_end_ = false;
};

}  // namespace gemma4::constrain
