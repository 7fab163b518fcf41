// A small vocabulary for tests, fuzzers and benchmarks: the shape of Gemma 4's, in a few kilobytes.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace gemma4::text::testing {

// Parts of a merge with spaces for U+2581; the constructor of a vocabulary replaces them.
using Merges = std::vector<std::pair<std::string, std::string>>;

// A JSON string of `text`, well-formed UTF-8.
inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + '"';
}

inline std::string with_space_symbols(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == ' ' ? std::string(kSpaceSymbolUtf8) : std::string(1, c);
  return out;
}

// The added tokens of the small vocabulary; ids are their places.
inline const std::vector<std::string>& small_added_tokens() {
  static const std::vector<std::string> kTokens = {"<pad>",   "<eos>",   "<bos>",   "<unk>",
                                                   "<|turn>", "<turn|>", "<|turn>>"};
  return kTokens;
}

// Merges that show every rule: words with a leading space, runs of spaces and newlines, the one
// merge that puts a space inside a token, repeated pairs, characters of two to four bytes.
inline Merges small_merges() {
  return {{"\n", "\n"},   {"\n\n", "\n"},   {" ", " "},    {"  ", "  "},   {"a", "a"},
          {"aa", "aa"},   {"<", "/"},       {" ", "</"},   {">", " </"},   {"h", "e"},
          {"l", "l"},     {"he", "ll"},     {"hell", "o"}, {" ", "hello"}, {" ", "h"},
          {" h", "ell"},  {"e", "ll"},      {"o", "r"},    {"w", "or"},    {" ", "wor"},
          {"l", "d"},     {" wor", "ld"},   {"é", "t"},    {"ét", "é"},    {"日", "本"},
          {"日本", "語"}, {"🦙", "🦙"}, {"\t", "\t"},  {"a", "b"},     {"b", "a"}};
}

// Strings by id: added tokens, byte tokens, single characters, results of merges.
inline std::vector<std::string> vocabulary_of(const Merges& merges) {
  std::vector<std::string> pieces = small_added_tokens();
  constexpr char kHex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte)
    pieces.push_back({'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'});
  std::set<std::string> known(pieces.begin(), pieces.end());
  const auto add = [&](const std::string& piece) {
    if (known.insert(piece).second) pieces.push_back(piece);
  };
  for (char c = '!'; c <= '~'; ++c) add(std::string(1, c));
  for (const auto& [left, right] : merges) {
    const std::string both = with_space_symbols(left + right);
    for (size_t position = 0; position < both.size();) {
      const size_t begin = position;
      next_code_point(both, position);
      add(both.substr(begin, position - begin));
    }
  }
  for (const auto& [left, right] : merges) add(with_space_symbols(left + right));
  return pieces;
}

// A tokenizer.json in the form of Gemma 4's.
inline std::string tokenizer_json(const Merges& merges) {
  const std::vector<std::string> pieces = vocabulary_of(merges);
  std::string added, vocabulary, list;
  for (size_t id = 0; id < small_added_tokens().size(); ++id)
    added += str_cat(
        id == 0 ? "" : ",", R"({"id":)", id, R"(,"content":)", json_string(pieces[id]),
        R"(,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true})");
  for (size_t id = 0; id < pieces.size(); ++id)
    vocabulary += str_cat(id == 0 ? "" : ",", json_string(pieces[id]), ":", id);
  for (const auto& [left, right] : merges)
    list += str_cat(list.empty() ? "" : ",", "[", json_string(with_space_symbols(left)), ",",
                    json_string(with_space_symbols(right)), "]");
  return str_cat(
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)", added,
      R"(],"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},)",
      R"("pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false},)",
      R"("post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],)",
      R"("pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{}},)",
      R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},)",
      R"({"type":"ByteFallback"},{"type":"Fuse"}]},"model":{"type":"BPE","dropout":null,"unk_token":"<unk>",)",
      R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,)",
      R"("ignore_merges":false,"vocab":{)", vocabulary, R"(},"merges":[)", list, "]}}");
}

inline std::string small_tokenizer_json() { return tokenizer_json(small_merges()); }

// The small vocabulary, ready for use.
inline Tokenizer small_tokenizer() { return Tokenizer::from_json(small_tokenizer_json()).value(); }

}  // namespace gemma4::text::testing
