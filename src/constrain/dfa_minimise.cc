// Minimisation of automata.
#include <algorithm>
#include <array>

#include "constrain/dfa.h"

namespace gemma4::constrain {
namespace {

// A partition that is refined by marking elements and splitting the marked from the others
// (Valmari, "Fast brief practical DFA minimization", 2012).
class Partition {
 public:
  explicit Partition(int size)
      : elements_(size),
        places_(size),
        sets_(size),
        firsts_(size + 1),
        ends_(size + 1),
        marked_(size + 1) {
    for (int i = 0; i < size; ++i) elements_[i] = places_[i] = i;
    count_ = size > 0 ? 1 : 0;
    if (size > 0) ends_[0] = size;
  }

  int count() const { return count_; }
  int set_of(int element) const { return sets_[element]; }
  int first(int set) const { return firsts_[set]; }
  int end(int set) const { return ends_[set]; }
  int element(int place) const { return elements_[place]; }

  void mark(int element) {
    const int set = sets_[element];
    const int from = places_[element];
    const int to = firsts_[set] + marked_[set];
    if (from < to) return;  // marked already
    elements_[from] = elements_[to];
    places_[elements_[from]] = from;
    elements_[to] = element;
    places_[element] = to;
    if (marked_[set]++ == 0) touched_.push_back(set);
  }

  // Makes a new set of the smaller part of every set that is marked in part.
  void split() {
    while (!touched_.empty()) {
      const int set = touched_.back();
      touched_.pop_back();
      const int middle = firsts_[set] + marked_[set];
      const int marked = std::exchange(marked_[set], 0);
      if (middle == ends_[set]) continue;
      if (marked <= ends_[set] - middle) {
        firsts_[count_] = firsts_[set];
        ends_[count_] = firsts_[set] = middle;
      } else {
        ends_[count_] = ends_[set];
        firsts_[count_] = ends_[set] = middle;
      }
      for (int i = firsts_[count_]; i < ends_[count_]; ++i) sets_[elements_[i]] = count_;
      ++count_;
    }
  }

 private:
  std::vector<int> elements_, places_, sets_;
  std::vector<int> firsts_, ends_, marked_;
  std::vector<int> touched_;
  int count_ = 0;
};

// Where the edges of `dfa` begin and end: class_of[byte], equal for bytes no state tells apart.
std::array<uint8_t, 256> byte_classes(const Dfa& dfa, int& count) {
  std::array<bool, 257> borders{};
  for (const Dfa::State& state : dfa.states)
    for (const Dfa::Edge& edge : state.edges) {
      borders[edge.first] = true;
      borders[edge.last + 1] = true;
    }
  std::array<uint8_t, 256> classes{};
  int current = 0;
  for (int byte = 1; byte < 256; ++byte) {
    current += borders[byte];
    classes[byte] = static_cast<uint8_t>(current);
  }
  count = current + 1;
  return classes;
}

std::vector<bool> reachable_states(const Dfa& dfa) {
  std::vector<bool> seen(dfa.states.size());
  std::vector<int32_t> work;
  if (!seen.empty()) {
    seen[0] = true;
    work.push_back(0);
  }
  while (!work.empty()) {
    const int32_t state = work.back();
    work.pop_back();
    for (const Dfa::Edge& edge : dfa.states[state].edges) {
      if (seen[edge.next]) continue;
      seen[edge.next] = true;
      work.push_back(edge.next);
    }
  }
  return seen;
}

// The states from which an accepting one can be reached.
std::vector<bool> living_states(const Dfa& dfa) {
  std::vector<std::vector<int32_t>> before(dfa.states.size());
  std::vector<bool> seen(dfa.states.size());
  std::vector<int32_t> work;
  for (size_t s = 0; s < dfa.states.size(); ++s) {
    for (const Dfa::Edge& edge : dfa.states[s].edges)
      before[edge.next].push_back(static_cast<int32_t>(s));
    if (!dfa.states[s].accepts) continue;
    seen[s] = true;
    work.push_back(static_cast<int32_t>(s));
  }
  while (!work.empty()) {
    const int32_t state = work.back();
    work.pop_back();
    for (const int32_t previous : before[state]) {
      if (seen[previous]) continue;
      seen[previous] = true;
      work.push_back(previous);
    }
  }
  return seen;
}

// Keeps the states that matter; the start stays first.
Dfa trim(const Dfa& dfa) {
  const std::vector<bool> reachable = reachable_states(dfa);
  const std::vector<bool> living = living_states(dfa);
  std::vector<int32_t> names(dfa.states.size(), -1);
  int32_t count = 0;
  for (size_t s = 0; s < names.size(); ++s)
    if (reachable[s] && living[s]) names[s] = count++;
  Dfa result;
  if (names.empty() || names[0] < 0) return result;
  result.states.resize(count);
  for (size_t s = 0; s < names.size(); ++s) {
    if (names[s] < 0) continue;
    Dfa::State& state = result.states[names[s]];
    state.accepts = dfa.states[s].accepts;
    for (const Dfa::Edge& edge : dfa.states[s].edges)
      if (names[edge.next] >= 0) state.edges.push_back({edge.first, edge.last, names[edge.next]});
  }
  return result;
}

struct Transitions {
  std::vector<int> tails, labels, heads;
  int size() const { return static_cast<int>(tails.size()); }
};

Transitions transitions_of(const Dfa& dfa) {
  int count = 0;
  const auto classes = byte_classes(dfa, count);
  Transitions result;
  for (size_t s = 0; s < dfa.states.size(); ++s)
    for (const Dfa::Edge& edge : dfa.states[s].edges)
      for (int label = classes[edge.first]; label <= classes[edge.last]; ++label) {
        result.tails.push_back(static_cast<int>(s));
        result.labels.push_back(label);
        result.heads.push_back(edge.next);
      }
  return result;
}

// Blocks of states that no text tells apart.
Partition equivalent_states(const Dfa& dfa) {
  const int num_states = static_cast<int>(dfa.states.size());
  Partition blocks(num_states);
  for (int s = 0; s < num_states; ++s)
    if (dfa.states[s].accepts) blocks.mark(s);
  blocks.split();

  const Transitions edges = transitions_of(dfa);
  Partition cords(edges.size());
  std::vector<std::vector<int>> by_label;
  std::vector<std::vector<int>> by_head(num_states);
  for (int t = 0; t < edges.size(); ++t) {
    if (edges.labels[t] >= static_cast<int>(by_label.size())) by_label.resize(edges.labels[t] + 1);
    by_label[edges.labels[t]].push_back(t);
    by_head[edges.heads[t]].push_back(t);
  }
  for (const std::vector<int>& same : by_label) {
    for (const int t : same) cords.mark(t);
    cords.split();
  }
  int block = 1;  // one of two halves is enough: the other follows from the whole
  for (int cord = 0; cord < cords.count(); ++cord) {
    for (int i = cords.first(cord); i < cords.end(cord); ++i)
      blocks.mark(edges.tails[cords.element(i)]);
    blocks.split();
    for (; block < blocks.count(); ++block) {
      for (int i = blocks.first(block); i < blocks.end(block); ++i)
        for (const int t : by_head[blocks.element(i)]) cords.mark(t);
      cords.split();
    }
  }
  return blocks;
}

// One state per block, numbered breadth first.
Dfa quotient(const Dfa& dfa, const Partition& blocks) {
  std::vector<int32_t> names(blocks.count(), -1);
  std::vector<int> order{0};
  names[blocks.set_of(0)] = 0;
  Dfa result;
  for (size_t i = 0; i < order.size(); ++i) {
    const Dfa::State& state = dfa.states[order[i]];
    Dfa::State merged{state.accepts, {}};
    for (const Dfa::Edge& edge : state.edges) {
      int32_t& name = names[blocks.set_of(edge.next)];
      if (name < 0) {
        name = static_cast<int32_t>(order.size());
        order.push_back(edge.next);
      }
      append_edge(merged.edges, edge.first, edge.last, name);
    }
    result.states.push_back(std::move(merged));
  }
  return result;
}

}  // namespace

size_t num_transitions(const Dfa& dfa) {
  int count = 0;
  const auto classes = byte_classes(dfa, count);
  size_t result = 0;
  for (const Dfa::State& state : dfa.states)
    for (const Dfa::Edge& edge : state.edges)
      result += 1 + classes[edge.last] - classes[edge.first];
  return result;
}

Dfa minimise(const Dfa& dfa) {
  Dfa trimmed = trim(dfa);
  if (trimmed.empty()) return trimmed;
  return quotient(trimmed, equivalent_states(trimmed));
}

}  // namespace gemma4::constrain
