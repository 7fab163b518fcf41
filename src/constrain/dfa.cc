#include "constrain/dfa.h"

#include <algorithm>
#include <unordered_map>

namespace gemma4::constrain {
namespace {

bool wanted(SetOperation operation, bool in_a, bool in_b) {
  switch (operation) {
    case SetOperation::kAnd:
      return in_a && in_b;
    case SetOperation::kOr:
      return in_a || in_b;
    case SetOperation::kMinus:
      return in_a && !in_b;
  }
  return false;
}

// The product automaton, built from the start state on.
class Product {
 public:
  Product(const Dfa& a, const Dfa& b, SetOperation operation)
      : a_(a), b_(b), operation_(operation) {}

  Result<Dfa> build(size_t max_states, size_t& work) {
    constexpr size_t kWorkOfState = 4;  // to find it by its pair, and then to minimise
    constexpr size_t kWorkOfEdge = 4;
    find(a_.empty() ? -1 : 0, b_.empty() ? -1 : 0);
    for (size_t i = 0; i < pairs_.size(); ++i) {
      expand(i);
      const size_t edges = result_.states[i].edges.size();
      if (pairs_.size() > max_states || !spend(kWorkOfState + kWorkOfEdge * edges, work))
        return too_large_automaton();
    }
    return minimise(result_);
  }

 private:
  static const std::vector<Dfa::Edge>& edges(const Dfa& dfa, int32_t state) {
    static const std::vector<Dfa::Edge> kNone;
    return state < 0 ? kNone : dfa.states[state].edges;
  }
  static bool accepts(const Dfa& dfa, int32_t state) {
    return state >= 0 && dfa.states[state].accepts;
  }
  bool lost(int32_t a, int32_t b) const {
    if (operation_ == SetOperation::kOr) return a < 0 && b < 0;
    return a < 0 || (operation_ == SetOperation::kAnd && b < 0);
  }

  int32_t find(int32_t a, int32_t b) {
    const uint64_t key = uint64_t{static_cast<uint32_t>(a)} << 32 | static_cast<uint32_t>(b);
    const auto [it, is_new] = ids_.emplace(key, static_cast<int32_t>(pairs_.size()));
    if (is_new) {
      pairs_.emplace_back(a, b);
      result_.states.push_back({wanted(operation_, accepts(a_, a), accepts(b_, b)), {}});
    }
    return it->second;
  }

  // Walks the edges of both states side by side, from border to border.
  void expand(size_t index) {
    const auto [a, b] = pairs_[index];
    const std::vector<Dfa::Edge>& left = edges(a_, a);
    const std::vector<Dfa::Edge>& right = edges(b_, b);
    std::vector<Dfa::Edge> merged;
    size_t i = 0;
    size_t j = 0;
    for (int byte = 0; byte < 256;) {
      while (i < left.size() && left[i].last < byte) ++i;
      while (j < right.size() && right[j].last < byte) ++j;
      int end = 256;
      const int32_t to_a = target(left, i, byte, end);
      const int32_t to_b = target(right, j, byte, end);
      if (!lost(to_a, to_b))
        append_edge(merged, static_cast<uint8_t>(byte), static_cast<uint8_t>(end - 1),
                    find(to_a, to_b));
      byte = end;
    }
    result_.states[index].edges = std::move(merged);
  }

  static int32_t target(const std::vector<Dfa::Edge>& list, size_t i, int byte, int& end) {
    if (i == list.size()) return -1;
    if (list[i].first > byte) {
      end = std::min<int>(end, list[i].first);
      return -1;
    }
    end = std::min(end, list[i].last + 1);
    return list[i].next;
  }

  const Dfa& a_;
  const Dfa& b_;
  const SetOperation operation_;
  std::unordered_map<uint64_t, int32_t> ids_;
  std::vector<std::pair<int32_t, int32_t>> pairs_;
  Dfa result_;
};

}  // namespace

void append_edge(std::vector<Dfa::Edge>& edges, uint8_t first, uint8_t last, int32_t next) {
  if (!edges.empty() && edges.back().last + 1 == first && edges.back().next == next) {
    edges.back().last = last;
  } else {
    edges.push_back({first, last, next});
  }
}

int32_t Dfa::step(int32_t state, uint8_t byte) const {
  const std::vector<Edge>& edges = states[state].edges;
  const auto it = std::partition_point(edges.begin(), edges.end(),
                                       [&](const Edge& edge) { return edge.last < byte; });
  return it != edges.end() && it->first <= byte ? it->next : -1;
}

bool Dfa::accepts(std::string_view text) const {
  if (empty()) return false;
  int32_t state = 0;
  for (const char c : text)
    if ((state = step(state, static_cast<uint8_t>(c))) < 0) return false;
  return states[state].accepts;
}

Result<Dfa> combine(const Dfa& a, const Dfa& b, SetOperation operation, size_t max_states,
                    size_t& work) {
  return Product(a, b, operation).build(max_states, work);
}

Dfa dfa_of_strings(std::vector<std::string> strings) {
  std::sort(strings.begin(), strings.end());
  Dfa trie;
  if (strings.empty()) return trie;
  trie.states.resize(1);
  for (const std::string& text : strings) {
    int32_t state = 0;
    for (const char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      // Sorted strings: the edge to follow is the last one, or new.
      if (trie.states[state].edges.empty() || trie.states[state].edges.back().last != byte) {
        trie.states[state].edges.push_back({byte, byte, static_cast<int32_t>(trie.states.size())});
        trie.states.emplace_back();
      }
      state = trie.states[state].edges.back().next;
    }
    trie.states[state].accepts = true;
  }
  return minimise(trie);
}

}  // namespace gemma4::constrain
