#include "constrain/number_digits.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "constrain/dfa_costs.h"

namespace gemma4::constrain {
namespace {

// Which states can reach one another (Tarjan, "Depth-first search and linear graph algorithms",
// 1972, with a stack of its own).
class Components {
 public:
  explicit Components(const Dfa& dfa)
      : dfa_(dfa), order_(dfa.states.size(), -1), low_(order_), component_(order_) {
    for (size_t s = 0; s < order_.size(); ++s)
      if (order_[s] < 0) search(static_cast<int32_t>(s));
  }
  // Whether an edge between them is part of a loop.
  bool same(int32_t a, int32_t b) const { return component_[a] == component_[b]; }

 private:
  struct Visit {
    int32_t state;
    size_t next = 0;  // edge
  };

  void search(int32_t start) {
    std::vector<Visit> path;
    const auto enter = [&](int32_t state) {
      order_[state] = low_[state] = count_++;
      open_.push_back(state);
      path.push_back({state});
    };
    enter(start);
    while (!path.empty()) {
      Visit& visit = path.back();
      const int32_t state = visit.state;
      const auto& edges = dfa_.states[state].edges;
      if (visit.next < edges.size()) {
        const int32_t target = edges[visit.next++].next;
        if (order_[target] < 0) {
          enter(target);
        } else if (component_[target] < 0) {
          low_[state] = std::min(low_[state], order_[target]);
        }
        continue;
      }
      path.pop_back();
      if (!path.empty()) low_[path.back().state] = std::min(low_[path.back().state], low_[state]);
      if (low_[state] == order_[state]) close(state);
    }
  }
  void close(int32_t root) {
    int32_t state = -1;
    do {
      state = open_.back();
      open_.pop_back();
      component_[state] = root;
    } while (state != root);
  }

  const Dfa& dfa_;
  std::vector<int32_t> order_, low_, component_;
  std::vector<int32_t> open_;
  int32_t count_ = 0;
};

}  // namespace

void append_numbers(GrammarBuilder& grammar, StateId from, const Dfa& numbers, StateId to) {
  if (numbers.empty()) return;
  const Components components(numbers);
  const std::vector<uint32_t> needed =
      least_to_end(numbers, [&](int32_t state, const Dfa::Edge& edge) -> uint32_t {
        return components.same(state, edge.next) ? 1 : 0;
      });
  // Room for the free digits, and then still for those that lead to an end.
  const uint32_t most = kFreeDigits + *std::max_element(needed.begin(), needed.end());
  std::vector<StateId> states;
  for (size_t i = 0; i < numbers.states.size(); ++i) states.push_back(grammar.add_state());
  for (size_t i = 0; i < states.size(); ++i) {
    // Tests come before the byte, so that a number to which nothing can be added is seen to end.
    std::map<std::pair<bool, uint32_t>, StateId> tested;  // by whether it counts, and the room
    for (const Dfa::Edge& edge : numbers.states[i].edges) {
      const bool loops = components.same(static_cast<int32_t>(i), edge.next);
      const uint32_t room = most - needed[edge.next] + (loops ? 0 : 1);
      StateId start = states[i];
      if (loops || needed[edge.next] > needed[i]) {
        const auto [it, is_new] = tested.try_emplace({loops, room}, -1);
        if (is_new) {
          it->second = grammar.add_state();
          grammar.jump(start, it->second,
                       {{loops ? Operation::Kind::kCountBelow : Operation::Kind::kBelow, 0, room}});
        }
        start = it->second;
      }
      grammar.edge(start, edge.first, edge.last, states[edge.next]);
    }
    if (numbers.states[i].accepts) grammar.jump(states[i], to);
  }
  grammar.jump(from, states[0]);
}

}  // namespace gemma4::constrain
