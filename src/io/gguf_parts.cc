#include "io/gguf_parts.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace gemma4::io {
namespace {

// "NAME-00002-of-00003.gguf"
struct PartName {
  std::string stem;  // NAME
  int64_t number = 0;
  int64_t count = 0;

  std::string path(int64_t part) const {
    char suffix[64];
    std::snprintf(suffix, sizeof suffix, "-%05lld-of-%05lld.gguf", static_cast<long long>(part),
                  static_cast<long long>(count));
    return stem + suffix;
  }
};

std::optional<int64_t> five_digits(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

std::optional<PartName> parse_part_name(std::string_view path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::string_view suffix = path.substr(path.size() - kPattern.size());
  if (suffix[0] != '-' || suffix.substr(6, 4) != "-of-" || suffix.substr(15) != ".gguf")
    return std::nullopt;
  const auto number = five_digits(suffix.substr(1, 5));
  const auto count = five_digits(suffix.substr(10, 5));
  if (!number || !count || *number > *count) return std::nullopt;
  return PartName{std::string(path.substr(0, path.size() - kPattern.size())), *number, *count};
}

Error invalid(std::string message) { return {ErrorCode::kInvalidData, std::move(message)}; }

// What a part says about itself; a file that is whole says nothing, or that it is the only one.
Status check_part(const GgufFile& file, int64_t number, int64_t count) {
  const auto value = [&](const char* key, int64_t fallback) -> Result<int64_t> {
    return file.find(key) == nullptr ? Result<int64_t>(fallback) : file.get_int(key);
  };
  G4_ASSIGN_OR_RETURN(const int64_t said_count, value("split.count", 1));
  G4_ASSIGN_OR_RETURN(const int64_t said_number, value("split.no", 0));
  if (said_count == count && said_number + 1 == number) return {};
  if (count == 1)
    return invalid(str_cat("is part ", said_number + 1, " of ", said_count,
                           " of a split model, but its name does not say so; give the parts their "
                           "names back (NAME-00001-of-0000N.gguf)"));
  return invalid(str_cat("is named part ", number, " of ", count, ", but says it is part ",
                         said_number + 1, " of ", said_count));
}

}  // namespace

std::string first_gguf_part(const std::string& path) {
  const auto name = parse_part_name(path);
  return name ? name->path(1) : path;
}

Status GgufParts::add_part(const std::string& path, int64_t number, int64_t count) {
  auto mapped = MappedFile::open(path);
  if (!mapped.ok() && mapped.error().code == ErrorCode::kNotFound && count > 1)
    return Error{ErrorCode::kNotFound, str_cat(path, ": part ", number, " of ", count,
                                               " is missing; download the rest of the model")};
  G4_ASSIGN_OR_RETURN(MappedFile file, std::move(mapped));
  auto parsed = GgufFile::parse(file.bytes());
  if (!parsed.ok()) return parsed.error().with_context(path);
  if (const Status status = check_part(parsed.value(), number, count); !status.ok())
    return status.error().with_context(path);
  for (const auto& [name, tensor] : parsed.value().tensors())
    if (!tensors_.emplace(name, tensor).second)
      return invalid(str_cat(path, ": tensor ", quote(name), " is also in another part"));
  if (number == 1) metadata_ = std::move(parsed).value();
  files_.push_back(std::move(file));
  return {};
}

Result<GgufParts> GgufParts::open(const std::string& path) {
  GgufParts parts;
  const auto name = parse_part_name(path);
  if (!name) {
    G4_RETURN_IF_ERROR(parts.add_part(path, 1, 1));
    return parts;
  }
  for (int64_t number = 1; number <= name->count; ++number)
    G4_RETURN_IF_ERROR(parts.add_part(name->path(number), number, name->count));
  if (parts.metadata_.find("split.tensors.count") != nullptr) {
    G4_ASSIGN_OR_RETURN(const int64_t total, parts.metadata_.get_int("split.tensors.count"));
    if (total != static_cast<int64_t>(parts.tensors_.size()))
      return invalid(str_cat(path, ": the parts have ", parts.tensors_.size(),
                             " tensors together, the first one promises ", total));
  }
  return parts;
}

const GgufTensor* GgufParts::find_tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace gemma4::io
