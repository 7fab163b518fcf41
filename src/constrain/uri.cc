#include "constrain/uri.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/strings.h"

namespace gemma4::constrain {
namespace {

struct Uri {
  std::string_view scheme, authority, path, rest;  // the first two with their punctuation
};

bool is_scheme_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '-' || c == '.';
}

Uri split(std::string_view text) {
  Uri uri;
  size_t end = 0;
  while (end < text.size() && is_scheme_char(text[end])) ++end;
  if (end > 0 && end < text.size() && text[end] == ':') {
    uri.scheme = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
  }
  if (text.starts_with("//")) {
    end = std::min(text.find_first_of("/?#", 2), text.size());
    uri.authority = text.substr(0, end);
    text.remove_prefix(end);
  }
  end = std::min(text.find_first_of("?#"), text.size());
  uri.path = text.substr(0, end);
  uri.rest = text.substr(end);
  return uri;
}

std::string without_dots(std::string_view path) {
  std::vector<std::string_view> segments;
  const bool absolute = path.starts_with('/');
  bool folder = false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    folder = segment.empty() || segment == "." || segment == "..";
    if (segment == ".." && !segments.empty()) segments.pop_back();
    if (!folder) segments.push_back(segment);
    begin = end + 1;
  }
  std::string result = absolute ? "/" : "";
  for (size_t i = 0; i < segments.size(); ++i) {
    if (i > 0) result += '/';
    result += segments[i];
  }
  if (folder && !segments.empty()) result += '/';
  return result;
}

}  // namespace

std::string resolve_uri(std::string_view base, std::string_view reference) {
  const Uri uri = split(reference);
  if (!uri.scheme.empty()) return std::string(reference);
  const Uri from = split(base);
  if (!uri.authority.empty()) return str_cat(from.scheme, reference);
  if (uri.path.empty()) {
    const std::string_view kept = base.substr(0, base.find('#'));
    return str_cat(uri.rest.starts_with('?') ? kept.substr(0, kept.find('?')) : kept, uri.rest);
  }
  std::string path(uri.path);
  if (!uri.path.starts_with('/'))
    path = str_cat(from.path.substr(0, from.path.rfind('/') + 1), uri.path);
  return str_cat(from.scheme, from.authority, without_dots(path), uri.rest);
}

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(&text[i] + 1, &text[i] + 3, value, 16).ptr == &text[i] + 3) {
      result += static_cast<char>(value);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace gemma4::constrain
