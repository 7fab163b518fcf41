// Reads the typed metadata of a GGUF file with limits; errors name the key and what was expected.
//
//   const GgufKeys keys(file, "gemma4.");
//   G4_ASSIGN_OR_RETURN(const int64_t layers, keys.integer("block_count", {1, kMaxLayers}));
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"

namespace gemma4::model {

struct Limits {
  int64_t low;
  int64_t high;
};

// Errors of all methods: kNotFound for a key that is missing and has no fallback, kInvalidData for
// another type and for values outside the limits.
class GgufKeys {
 public:
  // Keys are named without `prefix`. `file` must outlive the result.
  GgufKeys(const io::GgufFile& file, std::string prefix)
      : file_(file), prefix_(std::move(prefix)) {}

  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  bool has(std::string_view name) const { return file_.find(key(name)) != nullptr; }
  const io::GgufFile& file() const { return file_; }

  Result<int64_t> integer(std::string_view name, Limits limits,
                          std::optional<int64_t> fallback = std::nullopt) const {
    return integer_at(key(name), limits, fallback);
  }
  Result<double> number(std::string_view name, double low, double high,
                        std::optional<double> fallback = std::nullopt) const {
    return number_at(key(name), low, high, fallback);
  }
  // The same of any key, in full.
  Result<int64_t> integer_at(const std::string& key, Limits limits,
                             std::optional<int64_t> fallback = std::nullopt) const;
  Result<double> number_at(const std::string& key, double low, double high,
                           std::optional<double> fallback = std::nullopt) const;

  // One value for every layer, or one for each: as many as there are layers.
  Result<std::vector<int64_t>> per_layer(std::string_view name, int64_t layers,
                                         Limits limits) const;
  // The same where Gemma 4 has one value for all layers; kUnsupported where they differ.
  Result<int64_t> same_in_layers(std::string_view name, int64_t layers, Limits limits) const;

 private:
  const io::GgufFile& file_;
  std::string prefix_;
};

}  // namespace gemma4::model
