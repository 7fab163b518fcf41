// What `info` says about vision and audio towers, and about the files that hold only a part of a
// model: projectors and drafters.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "io/safetensors.h"
#include "model/config.h"

namespace gemma4::apps {

enum class InfoFormat : uint8_t { kText, kJson };

// "label                  value"
void print_line(const char* label, const std::string& value);

// Bytes and tensors by type: "1.2 GB BF16, 3.4 MB F32" and "7 BF16, 9 F32".
struct TypeSummary {
  std::string bytes, tensors;
};
TypeSummary summarise_types(const io::TensorMap& tensors);

// One line for each tower that the configuration has.
void print_towers(const model::Config& config);
// Adds "vision" and "audio": the fields of config.json, or null.
void add_towers(const model::Config& config, nlohmann::ordered_json& json);

Status show_projector(const std::string& path, InfoFormat format);
Status show_drafter(const std::string& path, InfoFormat format);

}  // namespace gemma4::apps
