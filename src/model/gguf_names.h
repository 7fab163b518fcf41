// What GGUF calls the tensors of the text decoder. One table, used to read and to write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gemma4::model {

// Factors of the full layers' rotary periods; configuration rather than weight, so in no
// checkpoint.
inline constexpr std::string_view kRopeFreqs = "rope_freqs.weight";

// The clusters of a drafter's head, in the present dialect and in the old one.
inline constexpr std::string_view kDrafterCentroids = "masked_embd_centroids.weight";
inline constexpr std::string_view kOldDrafterCentroids = "mtp.centroids.weight";

// "blk.7.attn_q.weight" -> "layers.7.self_attn.q_proj.weight", without the checkpoint's prefix;
// nothing for names that are not in the table.
std::optional<std::string> checkpoint_name(std::string_view gguf_name);

// The other way round; with a prefix or without.
std::optional<std::string> gguf_name(std::string_view checkpoint_name);

// "blk.7.", the front of all names of one layer.
std::string gguf_layer(int64_t layer);

}  // namespace gemma4::model
