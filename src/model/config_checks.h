// What every configuration must hold to, wherever it was read from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/config.h"

namespace gemma4::model {

// Sizes above these are not models but damaged or hostile files; they also keep products within
// int64.
inline constexpr int64_t kMaxWidth = 1 << 20;
inline constexpr int64_t kMaxHeads = 1 << 14;
inline constexpr int64_t kMaxExperts = 1 << 14;
inline constexpr int64_t kMaxLayers = 1 << 12;
inline constexpr int64_t kMaxVocabulary = 1 << 24;
inline constexpr int64_t kMaxTokens = 1 << 30;  // context and window

struct ConfigProblem {
  std::string key;  // of config.json
  std::string problem;
};
// What each layer needs of the others; checked at load so that the layer plan cannot fail.
std::optional<ConfigProblem> check_layers(const TextConfig& text);
// The part of it that a drafter's layers must hold to as well.
std::optional<ConfigProblem> check_heads(const TextConfig& text);
// A drafter's clusters share out the vocabulary evenly.
std::optional<std::string> check_centroids(const DrafterConfig& drafter);

}  // namespace gemma4::model
