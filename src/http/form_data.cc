#include "http/form_data.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "http/message.h"

namespace gemma4::http {
namespace {

constexpr size_t kMaxParts = 64;
constexpr size_t kMaxBoundary = 70;  // RFC 2046
constexpr std::string_view kLineEnd = "\r\n";

Error invalid(const std::string& problem) {
  return {ErrorCode::kInvalidArgument, "the form " + problem};
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// A header's value: a word, then `; name=value` or `; name="value"` each.
class HeaderValue {
 public:
  explicit HeaderValue(std::string_view text) : rest_(text) {
    word_ = trim(rest_.substr(0, rest_.find(';')));
    rest_.remove_prefix(std::min(rest_.find(';'), rest_.size()));
    while (!rest_.empty() && read_parameter()) {
    }
  }
  std::string_view word() const { return word_; }
  const std::string* parameter(std::string_view name) const {
    for (const auto& [key, value] : parameters_)
      if (same_name(key, name)) return &value;
    return nullptr;
  }

 private:
  bool read_parameter() {
    rest_.remove_prefix(1);  // the semicolon
    const size_t equals = rest_.find('=');
    if (equals == rest_.npos) return false;
    const std::string_view name = trim(rest_.substr(0, equals));
    rest_ = rest_.substr(equals + 1);
    if (!rest_.starts_with('"')) {
      const size_t end = std::min(rest_.find(';'), rest_.size());
      parameters_.emplace_back(name, trim(rest_.substr(0, end)));
      rest_.remove_prefix(end);
      return true;
    }
    std::string value;
    size_t i = 1;
    for (; i < rest_.size() && rest_[i] != '"'; ++i) {
      // Names may have quotes, which some clients escape.
      if (rest_[i] == '\\' && i + 1 < rest_.size() && (rest_[i + 1] == '"' || rest_[i + 1] == '\\'))
        ++i;
      value += rest_[i];
    }
    parameters_.emplace_back(name, std::move(value));
    rest_.remove_prefix(std::min(rest_.find(';', i), rest_.size()));
    return true;
  }

  std::string_view word_, rest_;
  std::vector<std::pair<std::string_view, std::string>> parameters_;
};

// The part whose headers and data `text` is.
Result<FormPart> read_part(std::string_view text) {
  FormPart part;
  bool is_named = false;
  while (!text.starts_with(kLineEnd)) {
    const size_t end = text.find(kLineEnd);
    if (end == text.npos) return invalid("has a part whose headers do not end");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + kLineEnd.size());
    const size_t colon = line.find(':');
    if (colon == line.npos) return invalid("has a part with a line that is no header");
    if (!same_name(line.substr(0, colon), "content-disposition")) continue;
    const HeaderValue value(line.substr(colon + 1));
    const std::string* const name = value.parameter("name");
    if (is_named || !same_name(value.word(), "form-data") || name == nullptr)
      return invalid("has a part without a name of its own");
    part.name = *name;
    is_named = true;
    if (const std::string* const file = value.parameter("filename"))
      part.file_name = file->empty() ? "file" : *file;
  }
  if (!is_named) return invalid("has a part without a name of its own");
  part.data = text.substr(kLineEnd.size());
  return part;
}

}  // namespace

Result<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body) {
  const HeaderValue type(content_type);
  if (!same_name(type.word(), "multipart/form-data"))
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("expected a form (Content-Type: multipart/form-data), got ",
                         content_type.empty() ? "no type" : quote(content_type, 60))};
  const std::string* const boundary = type.parameter("boundary");
  if (boundary == nullptr || boundary->empty() || boundary->size() > kMaxBoundary)
    return invalid("has no boundary of 1 to 70 characters in its type");
  const std::string line = str_cat("--", *boundary);  // between two parts, on a line of its own
  if (!body.starts_with(line)) {  // what stands before the first part is of no meaning
    const size_t first = body.find(str_cat(kLineEnd, line));
    if (first == body.npos) return invalid("does not have the boundary that its type says");
    body.remove_prefix(first + kLineEnd.size());
  }
  std::vector<FormPart> parts;
  while (true) {
    body.remove_prefix(line.size());
    if (body.starts_with("--")) return parts;
    if (!body.starts_with(kLineEnd)) return invalid("has something behind a boundary");
    body.remove_prefix(kLineEnd.size());
    const size_t end = body.find(str_cat(kLineEnd, line));
    if (end == body.npos) return invalid("does not end: a part of it is missing");
    if (parts.size() == kMaxParts) return invalid(str_cat("has more than ", kMaxParts, " parts"));
    G4_ASSIGN_OR_RETURN(FormPart part, read_part(body.substr(0, end)));
    parts.push_back(std::move(part));
    body.remove_prefix(end + kLineEnd.size());
  }
}

}  // namespace gemma4::http
