#include "chat/tool_call.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "chat/argument_types.h"
#include "text/utf8.h"

namespace gemma4::chat {
namespace {

using json::Value;

constexpr std::string_view kWhitespace = " \t\r\n";
constexpr int kMaxDepth = 256;  // half of what json::parse takes, so that arguments can come back

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kWhitespace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kWhitespace) + 1 - first);
}

// What is between double quotes, decoded as a JSON string; unchanged if it is none.
std::string decode_double_quoted(std::string_view inner) {
  std::string quoted = "\"";
  for (const char c : inner) {
    if (c == kQuoteToken) {
      quoted += "<|\\\"|>";
    } else if (static_cast<unsigned char>(c) < 0x20) {  // JSON wants these escaped, models do not
      constexpr char kHex[] = "0123456789abcdef";
      quoted += "\\u00";
      quoted += kHex[c >> 4];
      quoted += kHex[c & 15];
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  const auto decoded = json::parse(call_text(quoted));
  return decoded.ok() && decoded.value().is_string() ? decoded.value().as_string()
                                                     : call_text(inner);
}

// What is between single quotes, with the escapes of Python that models use.
std::string decode_single_quoted(std::string_view inner) {
  std::string out;
  for (size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] != '\\' || i + 1 == inner.size()) {
      out += inner[i];
      continue;
    }
    const char c = inner[++i];
    out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
  }
  return call_text(out);
}

// Reads values from the front of a text, which it always moves along.
class ArgumentReader {
 public:
  explicit ArgumentReader(std::string_view text) : rest_(text) {}

  // The members up to and with '}'.
  Value read_object(const Value* schema, int depth) {
    Value::Object members;
    std::unordered_map<std::string, size_t> places;
    for (;;) {
      skip(", \t\r\n");
      if (rest_.empty() || take('}')) return members;
      const std::optional<std::string> key = read_key();
      if (!key) continue;
      skip(kWhitespace);
      Value value = read_value(types_.property(schema, *key), depth);
      const auto [it, is_new] = places.emplace(*key, members.size());
      if (is_new) {
        members.emplace_back(*key, std::move(value));
      } else {
        members[it->second].second = std::move(value);
      }
    }
  }

 private:
  // The elements up to and with ']', or up to '}'.
  Value read_array(const Value* schema, int depth) {
    Value::Array elements;
    for (;;) {
      skip(", \t\r\n");
      if (rest_.empty() || take(']') || rest_.front() == '}') return elements;
      elements.push_back(read_value(ArgumentTypes::items(schema), depth));
    }
  }

  Value read_value(const Value* schema, int depth) {
    if (rest_.empty()) return "";
    const TypeSet types = types_.types(schema);
    const int depth_left = kMaxDepth - depth;
    if (take(kQuoteToken)) {
      const size_t end = rest_.find(kQuoteToken);
      std::string text = call_text(take_front(end));
      take(kQuoteToken);
      return type_string(std::move(text), types, depth_left);
    }
    if (depth_left > 0 && take('{')) return read_object(schema, depth + 1);
    if (depth_left > 0 && take('[')) return read_array(schema, depth + 1);
    if (auto text = read_quoted(",}]")) return type_string(std::move(*text), types, depth_left);
    const std::string_view bare = trimmed(take_front(rest_.find_first_of(",}]")));
    if (bare.empty()) return "";
    return type_bare(call_text(bare), types);
  }

  // A key with its colon. Nothing if there is none; what was no key is dropped.
  std::optional<std::string> read_key() {
    if (take(kQuoteToken)) {
      const size_t end = rest_.find(kQuoteToken);
      std::string key = call_text(take_front(end));
      if (end == rest_.npos) return std::nullopt;
      take(kQuoteToken);
      skip(kWhitespace);
      if (!take(':')) return std::nullopt;
      return key;
    }
    if (auto key = read_quoted(":")) {
      skip(kWhitespace);
      take(':');
      return key;
    }
    const std::string_view key = take_front(rest_.find_first_of(":,}"));
    if (!take(':')) return std::nullopt;
    return call_text(trimmed(key));
  }

  // A string in quotes of JSON or Python, if one of `follow` comes after it. Takes nothing
  // otherwise. A scan that fails ends at the next quote of its kind, so all of them are linear.
  std::optional<std::string> read_quoted(std::string_view follow) {
    const char quote = rest_.front();
    if (quote != '"' && quote != '\'') return std::nullopt;
    size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return std::nullopt;
    const size_t next = rest_.find_first_not_of(kWhitespace, end + 1);
    const bool follows =
        next == rest_.npos ? follow != ":" : follow.find(rest_[next]) != follow.npos;
    if (!follows) return std::nullopt;
    const std::string_view inner = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return quote == '"' ? decode_double_quoted(inner) : decode_single_quoted(inner);
  }

  void skip(std::string_view characters) {
    const size_t end = rest_.find_first_not_of(characters);
    rest_.remove_prefix(end == rest_.npos ? rest_.size() : end);
  }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view take_front(size_t length) {
    const std::string_view front = rest_.substr(0, length);
    rest_.remove_prefix(front.size());
    return front;
  }

  std::string_view rest_;
  ArgumentTypes types_;
};

}  // namespace

std::string call_text(std::string_view body) {
  std::string text;
  for (;;) {
    const size_t quote = body.find(kQuoteToken);
    text::append_repaired(body.substr(0, quote), text);
    if (quote == body.npos) return text;
    text += "<|\"|>";
    body.remove_prefix(quote + 1);
  }
}

std::optional<CallHeader> read_header(std::string_view body) {
  size_t at = 0;
  const auto skip_whitespace = [&] {
    at = std::min(body.find_first_not_of(kWhitespace, at), body.size());
  };
  skip_whitespace();
  if (body.substr(at).starts_with("call")) {
    at += 4;
    skip_whitespace();
  }
  if (!body.substr(at).starts_with(':')) return std::nullopt;
  ++at;
  skip_whitespace();
  const size_t begin = at;
  at = std::min(body.find_first_of(" \t\r\n{}()[]<>,:\"'\xFF", at), body.size());
  if (at == begin) return std::nullopt;
  CallHeader header{.name = call_text(body.substr(begin, at - begin))};
  skip_whitespace();
  if (at < body.size() && body[at] != '{' && body[at] != '(') return std::nullopt;
  header.has_parenthesis = at < body.size() && body[at] == '(';
  header.arguments = std::min(at + 1, body.size());
  return header;
}

Value read_arguments(std::string_view body, const CallHeader& header, const Value* schema) {
  std::string_view arguments = body.substr(header.arguments);
  if (header.has_parenthesis) {
    const size_t last = arguments.find_last_not_of(kWhitespace);
    if (last != arguments.npos && arguments[last] == ')') arguments = arguments.substr(0, last);
  }
  return ArgumentReader(arguments).read_object(schema, 1);
}

}  // namespace gemma4::chat
