#include "text/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/strings.h"
#include "io/mapped_file.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/merges.h"
#include "text/tokenizer_source.h"
#include "text/utf8.h"

namespace gemma4::text {
namespace {

std::optional<TokenId> as_optional(TokenId id) {
  return id == kNoToken ? std::nullopt : std::optional(id);
}

// The repaired text of all pieces, and where added tokens count in it.
struct Prepared {
  struct Found {
    size_t begin, end;
    TokenId id;
  };
  std::string text;
  std::vector<Found> found;
};

Prepared prepare(const AddedTokenMatcher& matcher, std::span<const Tokenizer::Piece> pieces) {
  size_t num_bytes = 0;
  for (const Tokenizer::Piece& piece : pieces) num_bytes += piece.text.size();
  Prepared out;
  out.text.reserve(num_bytes);
  for (size_t i = 0; i < pieces.size();) {
    const Tokenizer::AddedTokens added = pieces[i].added;
    const size_t begin = out.text.size();
    for (; i < pieces.size() && pieces[i].added == added; ++i)
      append_repaired(pieces[i].text, out.text);
    if (added == Tokenizer::AddedTokens::kIgnore) continue;
    for (size_t from = begin; from < out.text.size();) {
      const AddedTokenMatcher::Match match = matcher.find(out.text, from);
      from = match.begin + match.length;
      if (match.id != kNoToken) out.found.push_back({match.begin, from, match.id});
    }
  }
  return out;
}

// Calls encode(begin, end) for the text around the added tokens, and appends these.
template <typename Encode>
void encode_prepared(const Prepared& prepared, std::vector<TokenId>& ids, Encode encode) {
  size_t done = 0;
  for (const Prepared::Found& token : prepared.found) {
    encode(done, token.begin);
    ids.push_back(token.id);
    done = token.end;
  }
  encode(done, prepared.text.size());
}

Result<Tokenizer> read_file(const io::MappedFile& file) {
  const auto* data = reinterpret_cast<const char*>(file.bytes().data());
  const std::string_view text(data, file.bytes().size());
  if (text.starts_with("GGUF")) return Tokenizer::from_gguf(file.bytes());
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{')
    return Error{
        ErrorCode::kInvalidData,
        "is neither a tokenizer.json (begins with '{') nor a GGUF file (begins with GGUF)"};
  // A mapping ends at the end of a page, and the rest of the file's last page reads as zeros.
  constexpr size_t kPageBytes = 4096;  // the smallest there is
  const size_t capacity = (text.size() + kPageBytes - 1) / kPageBytes * kPageBytes;
  return read_tokenizer_json(data, text.size(), capacity);
}

}  // namespace

struct Tokenizer::Tables {
  Vocabulary vocabulary;
  MergeTable merges;
  AddedTokenMatcher added;
};

Result<Tokenizer> TokenizerSource::build() const {
  G4_ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::build(pieces, added, repeated));
  G4_ASSIGN_OR_RETURN(MergeTable merge_table, MergeTable::build(vocabulary, merges));
  AddedTokenMatcher matcher(added);
  return Tokenizer(std::make_shared<const Tokenizer::Tables>(
      Tokenizer::Tables{std::move(vocabulary), std::move(merge_table), std::move(matcher)}));
}

Result<Tokenizer> Tokenizer::load(const std::string& path) {
  std::error_code ignored;  // a path that cannot be examined cannot be opened either
  const bool is_folder = std::filesystem::is_directory(path, ignored);
  G4_ASSIGN_OR_RETURN(const io::MappedFile file,
                      io::MappedFile::open(is_folder ? path + "/tokenizer.json" : path));
  Result<Tokenizer> tokenizer = read_file(file);
  if (!tokenizer.ok()) return tokenizer.error().with_context(file.path());
  return tokenizer;
}

Result<Tokenizer> Tokenizer::from_json(std::string_view json) {
  return read_tokenizer_json(json.data(), json.size(), json.size());
}

int32_t Tokenizer::vocab_size() const { return tables_->vocabulary.size(); }

std::vector<TokenId> Tokenizer::encode(std::string_view text, AddedTokens added) const {
  const Piece piece{text, added};
  return encode(std::span(&piece, 1));
}

std::vector<TokenId> Tokenizer::encode(std::span<const Piece> pieces) const {
  const Prepared prepared = prepare(tables_->added, pieces);
  std::vector<TokenId> ids;
  ids.reserve(prepared.text.size() / 3 + 8);
  BpeEncoder encoder(tables_->vocabulary, tables_->merges, prepared.text, ids);
  encode_prepared(prepared, ids, [&](size_t begin, size_t end) { encoder.encode(begin, end); });
  return ids;
}

std::vector<TokenId> Tokenizer::encode_reference(std::string_view text, AddedTokens added) const {
  const Piece piece{text, added};
  const Prepared prepared = prepare(tables_->added, std::span(&piece, 1));
  std::vector<TokenId> ids;
  encode_prepared(prepared, ids, [&](size_t begin, size_t end) {
    text::encode_reference(tables_->vocabulary, tables_->merges,
                           std::string_view(prepared.text).substr(begin, end - begin), ids);
  });
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, SpecialTokens special) const {
  std::string out;
  std::string run;  // of byte tokens
  const auto flush = [&] {
    if (is_well_formed(run)) {
      out += run;
    } else {
      for (size_t i = 0; i < run.size(); ++i) out += kReplacement;
    }
    run.clear();
  };
  for (const TokenId id : ids) {
    if (!tables_->vocabulary.contains(id)) continue;
    if (special == SpecialTokens::kSkip && is_special(id)) continue;
    if (is_byte(id)) {
      run.push_back(static_cast<char>(byte_value(id)));
      continue;
    }
    if (!run.empty()) flush();
    append_text(id, out);
  }
  flush();
  return out;
}

void Tokenizer::append_text(TokenId id, std::string& out) const {
  std::string_view rest = piece(id);
  for (size_t at; (at = rest.find(kSpaceSymbolUtf8)) != std::string_view::npos;) {
    out.append(rest.substr(0, at));
    out.push_back(' ');
    rest.remove_prefix(at + kSpaceSymbolUtf8.size());
  }
  out.append(rest);
}

std::string_view Tokenizer::piece(TokenId id) const { return tables_->vocabulary.piece(id); }

std::optional<TokenId> Tokenizer::id_of(std::string_view piece) const {
  return as_optional(tables_->vocabulary.find(piece));
}

std::optional<TokenId> Tokenizer::added_token(std::string_view content) const {
  const TokenId id = tables_->vocabulary.find(content);
  return is_added(id) ? std::optional(id) : std::nullopt;
}

bool Tokenizer::is_added(TokenId id) const { return tables_->vocabulary.is_added(id); }
bool Tokenizer::is_special(TokenId id) const { return tables_->vocabulary.is_special(id); }
bool Tokenizer::is_byte(TokenId id) const { return tables_->vocabulary.is_byte(id); }
uint8_t Tokenizer::byte_value(TokenId id) const { return tables_->vocabulary.byte_value(id); }

}  // namespace gemma4::text
