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
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "constrain/matcher.h"

namespace gemma4::constrain {

// Keeps the grammars used last. Any thread may use it.
class GrammarCache {
 public:
  using Compile = std::function<Result<std::shared_ptr<const Grammar>>()>;

  // `capacity` is a number of grammars, at least 1. Sources longer than 1 MB are not kept.
  explicit GrammarCache(size_t capacity = 32) : capacity_(capacity) {}

  // The grammar of `source`, which `kind` tells apart from the same text in another notation;
  // compiled if it is not there. Errors are those of `compile` and are not kept. Two threads that
  // ask for the same at once may both compile.
  Result<std::shared_ptr<const CompiledGrammar>> get(std::string_view kind, std::string_view source,
                                                     const Compile& compile);
  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const CompiledGrammar> grammar;
  };

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> places_;
};

}  // namespace gemma4::constrain
