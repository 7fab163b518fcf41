#include "constrain/free_text.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace gemma4::constrain {
namespace {

// Well-formed UTF-8, as in table 3-7 of the Unicode standard: the lead bytes, the bytes that may
// come second, and how many more follow; -1: there is no second either.
struct Sequence {
  uint8_t lead_first, lead_last;
  uint8_t second_first, second_last;
  int more;
};
constexpr Sequence kSequences[] = {
    {0x00, 0x7F, 0, 0, -1},      {0xC2, 0xDF, 0x80, 0xBF, 0}, {0xE0, 0xE0, 0xA0, 0xBF, 1},
    {0xE1, 0xEC, 0x80, 0xBF, 1}, {0xED, 0xED, 0x80, 0x9F, 1}, {0xEE, 0xEF, 0x80, 0xBF, 1},
    {0xF0, 0xF0, 0x90, 0xBF, 2}, {0xF1, 0xF3, 0x80, 0xBF, 2}, {0xF4, 0xF4, 0x80, 0x8F, 2}};

}  // namespace

FreeText FreeTextFinder::find(ConfigId config) {
  ByteSet first = choose(config);
  for (int trial = 1; first.any(); ++trial) {
    Obstacle obstacle;
    const FreeText text = measure(config, first, obstacle);
    if (text.exact || obstacle.missing.none() || trial == kMostTrials) return text;
    // Rather longer text of fewer code points, unless that leaves out most of them.
    const bool around = weight(obstacle.way) < weight(obstacle.missing);
    const ByteSet& less = around ? obstacle.way : obstacle.missing;
    if (2 * weight(less) > weight(first)) return text;
    first &= ~less;
  }
  return {};
}

size_t FreeTextFinder::weight(const ByteSet& bytes) const {
  size_t sum = 0;
  for (int byte = 0; byte < 256; ++byte)
    if (bytes.test(byte)) sum += tokens_.count(static_cast<uint8_t>(byte));
  return sum;
}

// Code points of which any two may follow one after the other: branch by branch, those of most
// tokens first.
ByteSet FreeTextFinder::choose(ConfigId config) {
  const std::vector<Branch> all = branches(config, explorer_.next_bytes(config));
  std::vector<std::pair<size_t, const Branch*>> candidates;
  for (const Branch& branch : all)
    if (!branch.ends.empty()) candidates.emplace_back(weight(branch.bytes), &branch);
  std::sort(candidates.rbegin(), candidates.rend());
  ByteSet chosen;
  ByteSet common = ~ByteSet();  // what may follow behind all of them
  for (const auto& [weight, branch] : candidates) {
    ByteSet behind = common;
    for (const ConfigId end : branch->ends) behind &= free_bytes(end);
    if (((chosen | branch->bytes) & ~behind).any()) continue;
    chosen |= branch->bytes;
    common = behind;
  }
  return chosen;
}

// Goes through all that text of `first` leads to, one code point more each time.
FreeText FreeTextFinder::measure(ConfigId config, const ByteSet& first, Obstacle& obstacle) {
  FreeText text{.first = first};
  const int most = tokens_.usual_length(first);
  ++search_;
  visit(config) = {search_, 0, {}};
  size_t num_configs = 1;
  std::vector<ConfigId> now{config}, next;
  bool loops = false;  // some text may have any length
  for (; text.code_points < most && !now.empty(); ++text.code_points) {
    bool ends = num_configs > kMostConfigs;
    bool goes_on = false;  // some text does
    for (const ConfigId at : now) {
      const Steps& here = steps(at, first);
      text.others |= here.next & ~first;
      goes_on = goes_on || (here.next & first).any();
      if (here.missing.any() && !ends) {
        ends = true;
        obstacle = {here.missing, visit(at).way};
      }
      for (const Branch& branch : here.branches)
        for (const ConfigId end : branch.ends) {
          Visit& known = visit(end);
          if (known.search == search_) {
            loops = loops || known.code_points <= text.code_points;
            continue;
          }
          known = {search_, text.code_points + 1, branch.bytes};
          next.push_back(end);
          ++num_configs;
        }
    }
    if (ends) {
      text.exact = !goes_on && !loops;
      return text;
    }
    now.swap(next);
    next.clear();
  }
  text.code_points = most;
  return text;
}

FreeTextFinder::Visit& FreeTextFinder::visit(ConfigId config) {
  const auto i = static_cast<size_t>(config);
  if (i >= visits_.size()) visits_.resize(2 * i + 1);
  return visits_[i];
}

const FreeTextFinder::Steps& FreeTextFinder::steps(ConfigId config, const ByteSet& first) {
  Steps& steps = steps_[config];
  if (steps.first == first) return steps;
  steps = {.first = first, .missing = first, .next = explorer_.next_bytes(config)};
  steps.branches = branches(config, first & steps.next);
  for (const Branch& branch : steps.branches)
    if (!branch.ends.empty()) steps.missing &= ~branch.bytes;
  return steps;
}

// The bytes behind which every code point that begins with them is possible.
const ByteSet& FreeTextFinder::free_bytes(ConfigId config) {
  const auto [known, is_new] = free_bytes_.try_emplace(config);
  if (is_new)
    for (const Branch& branch : branches(config, explorer_.next_bytes(config)))
      if (!branch.ends.empty()) known->second |= branch.bytes;
  return known->second;
}

std::vector<FreeTextFinder::Branch> FreeTextFinder::branches(ConfigId config,
                                                             const ByteSet& first) {
  std::vector<Branch> result;
  if (explorer_.num_stacks(config) > kMostStacks) return result;
  for (size_t row = 0; row < std::size(kSequences); ++row)
    for (int byte = kSequences[row].lead_first; byte <= kSequences[row].lead_last; ++byte)
      if (first.test(byte)) byte = add_branch(config, byte, first, row, result);
  return result;
}

// Adds that of `byte`, from row `row` of the table. Returns the last byte that does the same.
int FreeTextFinder::add_branch(ConfigId config, int byte, const ByteSet& first, size_t row,
                               std::vector<Branch>& branches) {
  const Sequence& s = kSequences[row];
  const int last =
      std::min<int>(s.lead_last, explorer_.last_alike(config, static_cast<uint8_t>(byte)));
  const ConfigId next = explorer_.step(config, static_cast<uint8_t>(byte));
  Branch& branch = branches.emplace_back();
  for (int b = byte; b <= last; ++b) branch.bytes.set(b, first.test(b));
  if (next == kDeadConfig) return last;
  if (s.more < 0) {
    branch.ends.push_back(next);
  } else if (!follow(next, s.second_first, s.second_last, s.more, branch.ends)) {
    branch.ends.clear();
  }
  return last;
}

// False if some of the bytes from `first` to `last`, with `more` behind them, are impossible.
bool FreeTextFinder::follow(ConfigId config, int first, int last, int more,
                            std::vector<ConfigId>& ends) {
  for (int byte = first; byte <= last; ++byte) {
    const ConfigId next = explorer_.step(config, static_cast<uint8_t>(byte));
    if (next == kDeadConfig) return false;
    if (more > 0 && !follow(next, 0x80, 0xBF, more - 1, ends)) return false;
    if (more == 0 && std::find(ends.begin(), ends.end(), next) == ends.end()) ends.push_back(next);
    byte = explorer_.last_alike(config, static_cast<uint8_t>(byte));
  }
  return true;
}

}  // namespace gemma4::constrain
