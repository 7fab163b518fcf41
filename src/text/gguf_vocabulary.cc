#include "text/gguf_vocabulary.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "text/tokenizer_source.h"

namespace gemma4::text {
namespace {

enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

constexpr int64_t kFirstByte = 238;  // id of <0x00>
constexpr int kBytes = 256;

std::string byte_piece(int byte) {
  char piece[8];
  std::snprintf(piece, sizeof piece, "<0x%02X>", byte);
  return piece;
}

// All that goes into the file. Pieces that stand nowhere else are kept here.
struct Tokens {
  std::vector<std::string_view> pieces;  // by id
  std::vector<int32_t> types;
  std::deque<std::string> made;  // a deque: the views stay valid

  std::string_view keep(std::string piece) { return made.emplace_back(std::move(piece)); }
  void set(size_t id, std::string_view piece, int32_t type) {
    pieces[id] = piece;
    types[id] = type;
  }
  // Names the ids from `begin` on that have no piece yet.
  void fill_unused() {
    for (size_t id = 0; id < pieces.size(); ++id)
      if (pieces[id].data() == nullptr) set(id, keep(str_cat("<unused_id_", id, ">")), kUnused);
  }
};

void add_token_ids(const Tokens& tokens, io::GgufHeader& header) {
  const auto add = [&](const char* key, std::string_view piece) {
    const auto found = std::ranges::find(tokens.pieces, piece);
    if (found == tokens.pieces.end()) return false;
    header.add(str_cat("tokenizer.ggml.", key, "_token_id"),
               static_cast<uint32_t>(found - tokens.pieces.begin()));
    return true;
  };
  add("bos", "<bos>");
  if (!add("eos", "<turn|>")) add("eos", "<eos>");  // what ends an answer
  add("unknown", "<unk>");
  add("padding", "<pad>");
  add("mask", "<mask>");
}

void add_tokens(const Tokens& tokens, std::span<const std::string_view> merges,
                io::GgufHeader& header) {
  // Gemma's merging has no use for scores; these are what its files say.
  std::vector<float> scores;
  for (const int32_t type : tokens.types)
    scores.push_back(type == kControl || type == kUnknown ? -1000.0f : 0.0f);
  header.add("tokenizer.ggml.model", "gemma4");
  header.add("tokenizer.ggml.tokens", std::span(tokens.pieces));
  header.add("tokenizer.ggml.scores", std::span<const float>(scores));
  header.add("tokenizer.ggml.token_type", std::span(tokens.types));
  header.add("tokenizer.ggml.merges", merges);
  add_token_ids(tokens, header);
  header.add("tokenizer.ggml.add_bos_token", true);
  header.add("tokenizer.ggml.add_space_prefix", false);
}

Status add_source(const TokenizerSource& source, int64_t vocab_size, io::GgufHeader& header) {
  // Checks all of it: a file with a vocabulary that nobody can read must not be written.
  if (const auto tokenizer = source.build(); !tokenizer.ok()) return tokenizer.error();
  size_t count = source.pieces.size();
  for (const AddedToken& added : source.added)
    count = std::max(count, static_cast<size_t>(added.id) + 1);
  if (count > static_cast<size_t>(vocab_size))
    return Error{ErrorCode::kInvalidData, str_cat("has ", count, " tokens, the model has ",
                                                  vocab_size, "; they do not belong together")};
  Tokens tokens;
  tokens.pieces = source.pieces;
  tokens.pieces.resize(static_cast<size_t>(vocab_size));
  tokens.types.resize(static_cast<size_t>(vocab_size), kNormal);
  for (const AddedToken& added : source.added)
    tokens.set(static_cast<size_t>(added.id), added.content,
               !added.special             ? kUserDefined
               : added.content == "<unk>" ? kUnknown
                                          : kControl);
  for (int byte = 0; byte < kBytes; ++byte) {
    const auto found = std::ranges::find(tokens.pieces, byte_piece(byte));
    if (found != tokens.pieces.end())
      tokens.types[static_cast<size_t>(found - tokens.pieces.begin())] = kByte;
  }
  tokens.fill_unused();
  std::vector<std::string_view> merges;
  for (const auto& [left, right] : source.merges)
    merges.push_back(tokens.keep(str_cat(left, " ", right)));
  add_tokens(tokens, merges, header);
  return {};
}

constexpr std::pair<int, std::string_view> kControlTokens[] = {
    {0, "<pad>"},
    {1, "<eos>"},
    {2, "<bos>"},
    {3, "<unk>"},
    {4, "<mask>"},
    {46, "<|tool>"},
    {47, "<tool|>"},
    {48, "<|tool_call>"},
    {49, "<tool_call|>"},
    {50, "<|tool_response>"},
    {51, "<tool_response|>"},
    {52, "<|\"|>"},
    {98, "<|think|>"},
    {100, "<|channel>"},
    {101, "<channel|>"},
    {105, "<|turn>"},
    {106, "<turn|>"},
};

// Letters, marks, then ever longer syllables: a known one and a letter, which is also their merge.
void fill_syllables(Tokens& tokens, std::vector<std::string_view>& merges) {
  constexpr std::string_view kLetters = "etaoinshrdlucmfwygpbvkxqjz";
  constexpr std::string_view kOthers =
      "\n ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()-+*/=<>[]{}#$%&@_\\^`~|";
  size_t id = 0;
  const auto put = [&](std::string_view piece) {
    while (id < tokens.pieces.size() && tokens.pieces[id].data() != nullptr) ++id;
    if (id < tokens.pieces.size()) tokens.set(id, piece, kNormal);
    return id < tokens.pieces.size();
  };
  std::vector<std::string_view> level = {kSpaceSymbolUtf8};
  for (size_t i = 0; i < kLetters.size(); ++i) level.push_back(kLetters.substr(i, 1));
  for (const std::string_view piece : level)
    if (!put(piece)) return;
  for (size_t i = 0; i < kOthers.size(); ++i)
    if (!put(kOthers.substr(i, 1))) return;
  while (true) {
    std::vector<std::string_view> longer;
    for (const std::string_view front : level)
      for (size_t i = 0; i < kLetters.size(); ++i) {
        const std::string_view letter = kLetters.substr(i, 1);
        longer.push_back(tokens.keep(str_cat(front, letter)));
        if (!put(longer.back())) return;
        merges.push_back(tokens.keep(str_cat(front, " ", letter)));
      }
    level = std::move(longer);
  }
}

// What stands around media, at the last ids that are free.
void put_media_markers(Tokens& tokens) {
  size_t id = tokens.pieces.size();
  for (const std::string_view marker : {"<|image>", "<image|>", "<|audio>", "<audio|>"}) {
    while (id > 0 && tokens.pieces[id - 1].data() != nullptr) --id;
    if (id == 0) return;
    tokens.set(--id, marker, kControl);
  }
}

}  // namespace

Status add_gguf_vocabulary(std::string_view tokenizer_json, int64_t vocab_size,
                           io::GgufHeader& header) {
  return with_tokenizer_json(
      tokenizer_json.data(), tokenizer_json.size(), tokenizer_json.size(),
      [&](const TokenizerSource& source) { return add_source(source, vocab_size, header); });
}

Status add_synthetic_vocabulary(int64_t vocab_size, std::span<const int32_t> placeholders,
                                io::GgufHeader& header) {
  if (vocab_size < kFirstByte + kBytes)
    return Error{ErrorCode::kUnsupported,
                 str_cat("a made-up vocabulary needs ", kFirstByte + kBytes,
                         " ids for its bytes, the model has ", vocab_size)};
  Tokens tokens;
  tokens.pieces.resize(static_cast<size_t>(vocab_size));
  tokens.types.resize(static_cast<size_t>(vocab_size), kNormal);
  for (const auto& [id, piece] : kControlTokens)
    tokens.set(static_cast<size_t>(id), piece, piece == "<unk>" ? kUnknown : kControl);
  for (int byte = 0; byte < kBytes; ++byte)
    tokens.set(static_cast<size_t>(kFirstByte) + static_cast<size_t>(byte),
               tokens.keep(byte_piece(byte)), kByte);
  constexpr std::array<std::string_view, 3> kMedia = {"<|image|>", "<|audio|>", "<|video|>"};
  for (size_t i = 0; i < std::min(placeholders.size(), kMedia.size()); ++i) {
    if (placeholders[i] < 0 || placeholders[i] >= vocab_size) continue;
    const auto id = static_cast<size_t>(placeholders[i]);
    if (tokens.pieces[id].data() != nullptr)
      return Error{ErrorCode::kUnsupported,
                   str_cat("id ", id, " of ", kMedia[i], " is taken by ", tokens.pieces[id])};
    tokens.set(id, kMedia[i], kControl);
  }
  if (!placeholders.empty()) put_media_markers(tokens);
  std::vector<std::string_view> merges;
  fill_syllables(tokens, merges);
  add_tokens(tokens, merges, header);
  return {};
}

}  // namespace gemma4::text
