#include "model/gguf_keys.h"

#include <algorithm>

#include "base/strings.h"

namespace gemma4::model {
namespace {

Error invalid(const std::string& key, const std::string& problem) {
  return {ErrorCode::kInvalidData, str_cat("metadata ", quote(key, 100), ": ", problem)};
}

Status check(const std::string& key, int64_t value, Limits limits) {
  if (value >= limits.low && value <= limits.high) return {};
  return invalid(key, str_cat("is ", value, ", expected ", limits.low, " to ", limits.high));
}

}  // namespace

Result<int64_t> GgufKeys::integer_at(const std::string& key, Limits limits,
                                     std::optional<int64_t> fallback) const {
  if (fallback && file_.find(key) == nullptr) return *fallback;
  G4_ASSIGN_OR_RETURN(const int64_t value, file_.get_int(key));
  G4_RETURN_IF_ERROR(check(key, value, limits));
  return value;
}

Result<double> GgufKeys::number_at(const std::string& key, double low, double high,
                                   std::optional<double> fallback) const {
  if (fallback && file_.find(key) == nullptr) return *fallback;
  G4_ASSIGN_OR_RETURN(const double value, file_.get_float(key));
  if (!(value >= low && value <= high))
    return invalid(key, str_cat("is ", value, ", out of range"));
  return value;
}

Result<std::vector<int64_t>> GgufKeys::per_layer(std::string_view name, int64_t layers,
                                                 Limits limits) const {
  const std::string key = this->key(name);
  G4_ASSIGN_OR_RETURN(std::vector<int64_t> values, file_.get_ints(key));
  if (file_.find(key)->type() != io::GgufValueType::kArray)
    values.assign(static_cast<size_t>(layers), values.front());
  if (static_cast<int64_t>(values.size()) != layers)
    return invalid(key, str_cat("has ", values.size(), " entries for ", layers, " layers"));
  for (const int64_t value : values) G4_RETURN_IF_ERROR(check(key, value, limits));
  return values;
}

Result<int64_t> GgufKeys::same_in_layers(std::string_view name, int64_t layers,
                                         Limits limits) const {
  G4_ASSIGN_OR_RETURN(const std::vector<int64_t> values, per_layer(name, layers, limits));
  if (std::ranges::adjacent_find(values, std::ranges::not_equal_to()) != values.end())
    return Error{ErrorCode::kUnsupported,
                 str_cat("metadata ", quote(key(name), 100),
                         ": differs between layers, which no Gemma 4 does")};
  return values.front();
}

}  // namespace gemma4::model
