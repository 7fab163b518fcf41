// Compiled grammars by their source, so that requests with the same schema compile it once.
//
//   GrammarCache cache;
//   auto grammar = cache.get("schema", text, [&] { return grammar_of_schema(...); });
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "constrain/matcher.h"

namespace gemma4::constrain {

// Keeps what was used last: grammars, and the errors of sources that have none, since these can
// take as long to find out. Any thread may use it.
class GrammarCache {
 public:
  using Compile = std::function<Result<std::shared_ptr<const Grammar>>()>;
  using Outcome = Result<std::shared_ptr<const CompiledGrammar>>;

  // Memory counts sources, grammars, and the tables that grammars keep for their next text.
  explicit GrammarCache(size_t max_entries = 64, size_t max_bytes = size_t{256} << 20)
      : max_entries_(max_entries), max_bytes_(max_bytes) {}

  // The grammar of `source`, which `kind` tells apart from the same text in another notation;
  // compiled if it is not there. Threads that ask for the same at once wait for one of them to
  // compile it. Errors are those of `compile`, and kResourceExhausted when memory runs out
  // meanwhile, which is not kept.
  Outcome get(std::string_view kind, std::string_view source, const Compile& compile);

  size_t size() const;
  size_t bytes() const;

 private:
  struct Slot {
    std::mutex mutex;                // held while it is compiled
    std::optional<Outcome> outcome;  // guarded by it
  };
  struct Entry {
    std::string key;
    std::shared_ptr<Slot> slot;
    std::shared_ptr<const CompiledGrammar> grammar;  // null for errors, and until it is compiled
    size_t bytes() const;
  };
  using Entries = std::list<Entry>;

  std::shared_ptr<Slot> find_slot(const std::string& key);
  static Outcome outcome_of(Slot& slot, const Compile& compile);
  void account(const std::string& key, const Outcome& outcome);
  size_t total_bytes() const;

  const size_t max_entries_;
  const size_t max_bytes_;
  mutable std::mutex mutex_;
  Entries entries_;  // the last used first
  std::unordered_map<std::string_view, Entries::iterator> places_;
};

}  // namespace gemma4::constrain
