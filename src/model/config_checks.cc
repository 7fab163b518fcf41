#include "model/config_checks.h"

#include <array>

#include "base/strings.h"
#include "model/layer_plan.h"

namespace gemma4::model {
namespace {

std::optional<ConfigProblem> check_donors(const TextConfig& text) {
  const int64_t first_shared = first_shared_layer(text);
  for (int64_t i = first_shared; i < text.num_hidden_layers; ++i) {
    const int64_t donor = kv_donor(text, i);
    if (donor < 0)
      return ConfigProblem{
          "num_kv_shared_layers",
          str_cat("layer ", i, " shares keys and values, but no layer of its type before layer ",
                  first_shared, " could give them")};
    if (text.layer_kv_heads[static_cast<size_t>(donor)] !=
        text.layer_kv_heads[static_cast<size_t>(i)])
      return ConfigProblem{"num_kv_shared_layers",
                           str_cat("layers ", donor, " and ", i, " differ in KV heads")};
  }
  return std::nullopt;
}

}  // namespace

std::optional<ConfigProblem> check_heads(const TextConfig& text) {
  std::array<int64_t, kNumAttentionKinds> head_dim{};
  for (int64_t i = 0; i < text.num_hidden_layers; ++i) {
    const auto layer = static_cast<size_t>(i);
    if (text.num_attention_heads % text.layer_kv_heads[layer] != 0)
      return ConfigProblem{"num_attention_heads",
                           str_cat("is ", text.num_attention_heads, ", not a multiple of the ",
                                   text.layer_kv_heads[layer], " KV heads of layer ", i)};
    if (text.layer_head_dims[layer] % 2 != 0)
      return ConfigProblem{"head_dim",
                           str_cat("of layer ", i, " is odd; rotary embedding needs pairs")};
    int64_t& expected = head_dim[static_cast<size_t>(index_of(text.layer_types[layer]))];
    if (expected == 0) expected = text.layer_head_dims[layer];
    if (expected != text.layer_head_dims[layer])
      return ConfigProblem{
          "per_layer_config",
          str_cat("layer ", i, " has another head_dim than the layers of its type before it")};
  }
  return std::nullopt;
}

std::optional<std::string> check_centroids(const DrafterConfig& drafter) {
  if (!drafter.use_ordered_embeddings || drafter.text.vocab_size % drafter.num_centroids == 0)
    return std::nullopt;
  return str_cat("\"num_centroids\": is ", drafter.num_centroids,
                 ", which does not divide the vocabulary of ", drafter.text.vocab_size);
}

std::optional<ConfigProblem> check_layers(const TextConfig& text) {
  if (auto problem = check_heads(text)) return problem;
  return check_donors(text);
}

}  // namespace gemma4::model
