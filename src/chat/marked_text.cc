#include "chat/marked_text.h"

#include <array>
#include <optional>
#include <utility>

namespace gemma4::chat {
namespace {

// The index is the id. None is the beginning of another.
constexpr std::array<std::string_view, 8> kMarkers = {
    "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>",
    "<|\"|>",     "<eos>",      "<turn|>",      "<|tool_response>"};

std::optional<int32_t> id_of(std::string_view marker) {
  for (size_t i = 0; i < kMarkers.size(); ++i)
    if (kMarkers[i] == marker) return static_cast<int32_t>(i);
  return std::nullopt;
}

}  // namespace

Markers MarkedText::markers() { return find_markers(id_of).value(); }

std::vector<MarkedText::Piece> MarkedText::push(std::string_view text) {
  pending_ += text;
  std::vector<Piece> pieces;
  std::string plain;
  const auto flush = [&] {
    if (!plain.empty()) pieces.push_back({kText, std::exchange(plain, "")});
  };
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const size_t at = rest.find('<');
    plain += rest.substr(0, at);
    rest.remove_prefix(at == rest.npos ? rest.size() : at);
    bool may_become_marker = false;
    bool is_marker = false;
    for (size_t i = 0; i < kMarkers.size() && !rest.empty() && !is_marker; ++i) {
      is_marker = rest.starts_with(kMarkers[i]);
      may_become_marker = may_become_marker || kMarkers[i].starts_with(rest);
      if (!is_marker) continue;
      flush();
      pieces.push_back({static_cast<int32_t>(i), ""});
      rest.remove_prefix(kMarkers[i].size());
    }
    if (is_marker || rest.empty()) continue;
    if (may_become_marker) break;
    plain += rest.front();
    rest.remove_prefix(1);
  }
  flush();
  pending_ = std::string(rest);
  return pieces;
}

std::vector<MarkedText::Piece> MarkedText::finish() {
  if (pending_.empty()) return {};
  return {{kText, std::exchange(pending_, "")}};
}

}  // namespace gemma4::chat
