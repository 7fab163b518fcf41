#include "model/soft_tokens.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace gemma4::model {

namespace {

int32_t placeholder_of(const MediaTokenIds& ids, MediaKind kind) {
  switch (kind) {
    case MediaKind::kImage:
      return ids.image;
    case MediaKind::kVideo:
      return ids.video;
    case MediaKind::kAudio:
      return ids.audio;
  }
  return -1;
}

const char* name_of(MediaKind kind) {
  switch (kind) {
    case MediaKind::kImage:
      return "picture";
    case MediaKind::kVideo:
      return "video frame";
    case MediaKind::kAudio:
      return "sound";
  }
  return "?";
}

Error misplaced(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }

}  // namespace

Result<std::vector<SoftSpan>> place_media(const MediaTokenIds& ids, std::span<const int32_t> prompt,
                                          std::span<const MediaItem> items) {
  std::vector<SoftSpan> spans;
  for (const MediaKind kind : {MediaKind::kImage, MediaKind::kVideo, MediaKind::kAudio}) {
    const int32_t placeholder = placeholder_of(ids, kind);
    size_t position = 0;
    const auto skip_other = [&] {
      while (position < prompt.size() && (placeholder < 0 || prompt[position] != placeholder))
        ++position;
    };
    for (const MediaItem& item : items) {
      if (item.kind != kind) continue;
      skip_other();
      spans.push_back({static_cast<int64_t>(position), item.tokens, kind});
      const auto end = static_cast<size_t>(spans.back().end());
      while (position < std::min(end, prompt.size()) && prompt[position] == placeholder) ++position;
      if (position < end)
        return misplaced(str_cat("the prompt has no place for the ", item.tokens->count(),
                                 " soft tokens of a ", name_of(kind)));
    }
    skip_other();
    if (position < prompt.size())
      return misplaced(str_cat("the prompt has a placeholder at position ", position, " and no ",
                               name_of(kind), " for it"));
  }
  std::sort(spans.begin(), spans.end(),
            [](const SoftSpan& a, const SoftSpan& b) { return a.position < b.position; });
  return spans;
}

std::vector<VisionBlock> vision_blocks(const TextConfig& text, std::span<const SoftSpan> spans) {
  std::vector<VisionBlock> blocks;
  if (!text.bidirectional_vision) return blocks;
  for (const SoftSpan& span : spans) {
    if (span.kind == MediaKind::kAudio) continue;
    if (!blocks.empty() && blocks.back().end == span.position)
      blocks.back().end = span.end();  // nothing between them: one run
    else
      blocks.push_back({span.position, span.end()});
  }
  return blocks;
}

const VisionBlock* block_at(std::span<const VisionBlock> blocks, int64_t position) {
  const auto next =
      std::upper_bound(blocks.begin(), blocks.end(), position,
                       [](int64_t at, const VisionBlock& block) { return at < block.end; });
  return next != blocks.end() && next->begin <= position ? &*next : nullptr;
}

bool same_rows(const SoftTokens& a, const SoftTokens& b) {
  if (&a == &b) return true;
  return a.width == b.width && a.values.size() == b.values.size() &&
         std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0;
}

Status check_spans(const Config& config, std::span<const int32_t> prompt,
                   std::span<const SoftSpan> spans) {
  const auto invalid = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  };
  const auto& placeholders = config.placeholder_token_ids;
  int64_t free_from = 0;
  for (const SoftSpan& span : spans) {
    const std::string what = str_cat("soft tokens at position ", span.position);
    if (span.tokens == nullptr || span.tokens->count() == 0) return invalid(what + " are none");
    if (span.tokens->width != config.text.hidden_size)
      return invalid(
          str_cat(what, " are ", span.tokens->width, " wide, the model ", config.text.hidden_size));
    if (span.position < free_from || span.end() > static_cast<int64_t>(prompt.size()))
      return invalid(str_cat(what, " (", span.tokens->count(),
                             ") overlap those before or reach beyond the prompt of ", prompt.size(),
                             " tokens"));
    for (int64_t i = span.position; i < span.end(); ++i) {
      const int32_t id = prompt[static_cast<size_t>(i)];
      if (std::find(placeholders.begin(), placeholders.end(), id) == placeholders.end())
        return invalid(str_cat(what, ": id ", id, " at position ", i, " is no placeholder"));
    }
    free_from = span.end();
  }
  return {};
}

Status check_blocks(std::span<const VisionBlock> blocks, int64_t step_tokens) {
  for (const VisionBlock& block : blocks)
    if (block.end - block.begin > step_tokens)
      return misplaced(str_cat("a picture of ", block.end - block.begin,
                               " soft tokens must be in one step, which here has room for ",
                               step_tokens, "; use fewer soft tokens or longer steps"));
  return {};
}

int64_t common_media(const SequenceMedia& old, const SequenceMedia& next, int64_t length) {
  const std::span<const SoftSpan> a = old.spans, b = next.spans;
  size_t i = 0;
  while (i < a.size() && i < b.size() && a[i].position == b[i].position && a[i].kind == b[i].kind &&
         same_rows(*a[i].tokens, *b[i].tokens))
    ++i;
  if (i < a.size()) length = std::min(length, a[i].position);
  if (i < b.size()) length = std::min(length, b[i].position);
  for (bool cut = true; cut;) {
    cut = false;
    for (const auto& blocks : {old.blocks, next.blocks}) {
      const VisionBlock* const block = block_at(blocks, length);
      if (block == nullptr || block->begin == length) continue;
      length = block->begin;
      cut = true;
    }
  }
  return length;
}

}  // namespace gemma4::model
