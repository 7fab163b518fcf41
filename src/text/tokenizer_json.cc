// Reads a tokenizer.json (version 1.0) of the Gemma family.
//
// Only what Gemma's files contain is supported; every other section, option or value is refused by
// name, because skipping one silently gives wrong ids.
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/strings.h"
#include "text/tokenizer_source.h"
#include "text/utf8.h"

namespace gemma4::text {
namespace {

namespace dom = simdjson::dom;
namespace ondemand = simdjson::ondemand;

constexpr size_t kMaxFileBytes = size_t{1} << 29;

// The sections that define the normaliser, the splitter and the decoder, as they have to be.
constexpr std::string_view kNormalizer =
    R"({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})";
constexpr std::string_view kPreTokenizer =  // never finds a space: it runs after the normaliser
    R"({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
        "invert": false})";
constexpr std::string_view kDecoder =
    R"({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"}, {"type": "Fuse"}]})";
// What a post-processor may put around one sequence: nothing (Gemma 4) or `<bos>` before it (Gemma
// 3). Neither concerns us, since encoding never adds tokens.
constexpr std::string_view kSingles[] = {
    R"([{"Sequence": {"id": "A", "type_id": 0}}])",
    R"([{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}])",
};
// Options of `model`; the first is how Gemma's files have it. Options marked so may be left out.
struct ModelOption {
  std::string_view key, value;
  bool required;
};
constexpr ModelOption kModelOptions[] = {
    {"type", R"("BPE")", false},           {"dropout", "null", false},
    {"unk_token", R"("<unk>")", false},    {"continuing_subword_prefix", "null", false},
    {"end_of_word_suffix", "null", false}, {"fuse_unk", "true", false},
    {"byte_fallback", "true", true},       {"ignore_merges", "false", false},
};

Error damaged(std::string_view field, simdjson::error_code code) {
  return {ErrorCode::kInvalidData, str_cat(field, ": ", simdjson::error_message(code))};
}

Error unsupported(std::string_view field, std::string_view expected, std::string_view found) {
  return {ErrorCode::kUnsupported, str_cat(field, ": expected ", expected, ", found ", found,
                                           "; this program tokenises only the way Gemma 4 does")};
}

#define G4_JSON(field, expression)                                      \
  do {                                                                  \
    if (const simdjson::error_code g4_code = (expression)) [[unlikely]] \
      return damaged(field, g4_code);                                   \
  } while (0)

// The beginning of some JSON, for an error message.
std::string excerpt(std::string_view json) {
  constexpr size_t kMaxBytes = 80;
  std::string out;
  append_repaired(json.substr(0, kMaxBytes), out);  // the cut may go through a character
  return json.size() > kMaxBytes ? out + "…" : out;
}
std::string excerpt(dom::element element) {
  return excerpt(std::string(simdjson::minify(element)));
}

// Refuses the first value in which `found` differs from `expected`, by its path. Keys in any order.
Status require_equal(const std::string& path, dom::element expected, dom::element found) {
  const auto mismatch = [&] {
    return unsupported(path, simdjson::minify(expected), excerpt(found));
  };
  if (expected.type() != found.type()) return mismatch();
  if (expected.is_object()) {
    dom::object wanted, object;
    G4_JSON(path, expected.get(wanted));
    G4_JSON(path, found.get(object));
    for (const auto& [key, value] : wanted) {
      dom::element other;
      if (object.at_key(key).get(other))
        return unsupported(str_cat(path, ".", key), simdjson::minify(value), "nothing");
      G4_RETURN_IF_ERROR(require_equal(str_cat(path, ".", key), value, other));
    }
    for (const auto& [key, value] : object)
      if (wanted.at_key(key).error())
        return unsupported(str_cat(path, ".", key), "nothing", excerpt(value));
    return {};
  }
  if (expected.is_array()) {
    dom::array wanted, array;
    G4_JSON(path, expected.get(wanted));
    G4_JSON(path, found.get(array));
    if (wanted.size() != array.size()) return mismatch();
    size_t index = 0;
    for (auto it = array.begin(); const dom::element element : wanted) {
      G4_RETURN_IF_ERROR(require_equal(str_cat(path, "[", index++, "]"), element, *it));
      ++it;
    }
    return {};
  }
  if (std::string(simdjson::minify(expected)) != std::string(simdjson::minify(found)))
    return mismatch();
  return {};
}

// A small section, parsed by itself.
Status require_section(std::string_view field, dom::element found, std::string_view expected) {
  dom::parser parser;
  dom::element wanted;
  G4_JSON(field, parser.parse(expected.data(), expected.size()).get(wanted));
  return require_equal(std::string(field), wanted, found);
}

Status check_post_processor(dom::element section) {
  std::string_view type;
  if (section["type"].get(type) || type != "TemplateProcessing")
    return unsupported("post_processor.type", "\"TemplateProcessing\"", excerpt(section));
  dom::element single;
  G4_JSON("post_processor.single", section["single"].get(single));
  if (require_section("post_processor.single", single, kSingles[1]).ok()) return {};
  return require_section("post_processor.single", single, kSingles[0]);
}

// Sections other than `added_tokens` and `model`.
Status check_section(std::string_view key, dom::element section) {
  if (key == "version") return require_section(key, section, R"("1.0")");
  if (key == "truncation" || key == "padding") return require_section(key, section, "null");
  if (key == "normalizer") return require_section(key, section, kNormalizer);
  if (key == "decoder") return require_section(key, section, kDecoder);
  if (key == "pre_tokenizer")
    return section.is_null() ? Status() : require_section(key, section, kPreTokenizer);
  if (key == "post_processor") return section.is_null() ? Status() : check_post_processor(section);
  return unsupported(key, "no section of this name", excerpt(section));
}

class Reader {
 public:
  // The result's strings live as long as this object.
  Result<TokenizerSource> read(simdjson::padded_string_view json);

 private:
  Status read_section(std::string_view key, ondemand::value value);
  Status read_added_tokens(ondemand::value value);
  Status read_added_token(ondemand::object object);
  Status read_model(ondemand::value value);
  Status read_vocabulary(ondemand::value value);
  Status read_merges(ondemand::value value);
  Status read_merge(ondemand::value value);

  size_t json_size_ = 0;
  ondemand::parser parser_;
  TokenizerSource source_;
  std::vector<std::string> seen_;  // keys of required sections
};

// On-demand parsing leaves the text of a value it has not visited unchecked, so the small sections
// are parsed again, completely.
Result<std::string_view> raw_json(std::string_view field, ondemand::value value) {
  ondemand::json_type type;
  G4_JSON(field, value.type().get(type));
  std::string_view raw;
  if (type == ondemand::json_type::object) {
    ondemand::object object;
    G4_JSON(field, value.get_object().get(object));
    G4_JSON(field, object.raw_json().get(raw));
  } else if (type == ondemand::json_type::array) {
    ondemand::array array;
    G4_JSON(field, value.get_array().get(array));
    G4_JSON(field, array.raw_json().get(raw));
  } else {
    raw = value.raw_json_token();
  }
  return raw;
}

Result<TokenizerSource> Reader::read(simdjson::padded_string_view json) {
  json_size_ = json.size();
  ondemand::document document;
  G4_JSON("the file", parser_.iterate(json).get(document));
  ondemand::object root;
  G4_JSON("the file", document.get_object().get(root));
  for (auto field : root) {
    std::string_view key;
    G4_JSON("the file", field.unescaped_key().get(key));
    ondemand::value value;
    G4_JSON(key, field.value().get(value));
    G4_RETURN_IF_ERROR(read_section(key, value));
    seen_.emplace_back(key);
  }
  if (const char* rest = nullptr; !document.current_location().get(rest))
    return Error{ErrorCode::kInvalidData, "the file goes on behind the end of its JSON object"};
  for (const std::string_view key : {"normalizer", "decoder", "model"})
    if (std::find(seen_.begin(), seen_.end(), key) == seen_.end())
      return unsupported(key, "this section", "nothing");
  return std::move(source_);
}

Status Reader::read_section(std::string_view key, ondemand::value value) {
  if (std::find(seen_.begin(), seen_.end(), key) != seen_.end())
    return Error{ErrorCode::kInvalidData, str_cat(quote(key), " is there twice")};
  if (key == "added_tokens") return read_added_tokens(value);
  if (key == "model") return read_model(value);
  G4_ASSIGN_OR_RETURN(const std::string_view raw, raw_json(key, value));
  dom::parser parser;
  dom::element section;
  G4_JSON(key, parser.parse(raw.data(), raw.size()).get(section));
  return check_section(key, section);
}

Status Reader::read_added_tokens(ondemand::value value) {
  ondemand::array array;
  G4_JSON("added_tokens", value.get_array().get(array));
  for (auto element : array) {
    ondemand::object object;
    G4_JSON("added_tokens", element.get_object().get(object));
    G4_RETURN_IF_ERROR(read_added_token(object));
  }
  return {};
}

Status Reader::read_added_token(ondemand::object object) {
  const std::string name = str_cat("added_tokens[", source_.added.size(), "]");
  std::optional<uint64_t> id;
  std::optional<std::string_view> content;
  std::optional<bool> special;
  for (auto field : object) {
    std::string_view key;
    G4_JSON(name, field.unescaped_key().get(key));
    const std::string path = str_cat(name, ".", key);
    if (key == "id") {
      G4_JSON(path, field.value().get_uint64().get(id.emplace()));
    } else if (key == "content") {
      G4_JSON(path, field.value().get_string().get(content.emplace()));
    } else if (key == "special") {
      G4_JSON(path, field.value().get_bool().get(special.emplace()));
    } else if (key == "single_word" || key == "lstrip" || key == "rstrip" || key == "normalized") {
      bool flag = false;
      G4_JSON(path, field.value().get_bool().get(flag));
      if (flag) return unsupported(path, "false", "true");
    } else {
      return unsupported(path, "no key of this name", "one");
    }
  }
  if (!id || !content || !special || *id > INT32_MAX)
    return Error{ErrorCode::kInvalidData,
                 name + ": expected an id below 2^31, a content and special"};
  source_.added.push_back({static_cast<TokenId>(*id), *content, *special});
  return {};
}

Status Reader::read_model(ondemand::value value) {
  ondemand::object model;
  G4_JSON("model", value.get_object().get(model));
  std::vector<std::string> seen;
  for (auto field : model) {
    std::string_view key;
    G4_JSON("model", field.unescaped_key().get(key));
    if (std::find(seen.begin(), seen.end(), key) != seen.end())
      return Error{ErrorCode::kInvalidData, str_cat("model.", key, " is there twice")};
    seen.emplace_back(key);
    ondemand::value member;
    G4_JSON("model", field.value().get(member));
    if (key == "vocab") {
      G4_RETURN_IF_ERROR(read_vocabulary(member));
    } else if (key == "merges") {
      G4_RETURN_IF_ERROR(read_merges(member));
    } else {
      const std::string path = str_cat("model.", key);
      const auto* option = std::find_if(std::begin(kModelOptions), std::end(kModelOptions),
                                        [&](const ModelOption& o) { return o.key == key; });
      if (option == std::end(kModelOptions)) return unsupported(path, "no key of this name", "one");
      G4_ASSIGN_OR_RETURN(std::string_view raw, raw_json(path, member));
      raw = raw.substr(0, raw.find_last_not_of(" \t\r\n") + 1);
      if (raw != option->value) return unsupported(path, option->value, excerpt(raw));
    }
  }
  const auto require = [&](std::string_view key) -> Status {
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) return {};
    return unsupported(str_cat("model.", key), "this key", "nothing");
  };
  G4_RETURN_IF_ERROR(require("vocab"));
  G4_RETURN_IF_ERROR(require("merges"));
  for (const ModelOption& option : kModelOptions)
    if (option.required) G4_RETURN_IF_ERROR(require(option.key));
  return {};
}

Status Reader::read_vocabulary(ondemand::value value) {
  constexpr std::string_view kField = "model.vocab";
  ondemand::object object;
  G4_JSON(kField, value.get_object().get(object));
  std::vector<std::pair<std::string_view, uint64_t>> entries;
  entries.reserve(json_size_ / 100);  // what Gemma's file has, and a little more
  for (auto field : object) {
    std::string_view piece;
    uint64_t id = 0;
    G4_JSON(kField, field.unescaped_key().get(piece));
    if (const simdjson::error_code code = field.value().get_uint64().get(id)) [[unlikely]]
      return damaged(str_cat(kField, "[", quote(piece), "]"), code);
    entries.emplace_back(piece, id);
  }
  // With as many different ids as entries, all below their number, there is no gap.
  source_.pieces.resize(entries.size());
  for (const auto& [piece, id] : entries) {
    const auto fail = [&, &piece = piece, &id = id](std::string_view what) {
      return Error{ErrorCode::kInvalidData, str_cat(kField, "[", quote(piece), "]: id ", id, what)};
    };
    if (id >= entries.size())
      return fail(str_cat(", expected ids 0 to ", entries.size() - 1, " without gaps"));
    if (source_.pieces[id].data() != nullptr)
      return fail(str_cat(" also belongs to ", quote(source_.pieces[id])));
    source_.pieces[id] = piece;
  }
  return {};
}

Status Reader::read_merges(ondemand::value value) {
  ondemand::array array;
  G4_JSON("model.merges", value.get_array().get(array));
  source_.merges.reserve(json_size_ / 48);  // what Gemma's file has, and a little more
  for (auto element : array) {
    ondemand::value merge;
    G4_JSON("model.merges", element.get(merge));
    G4_RETURN_IF_ERROR(read_merge(merge));
  }
  return {};
}

// Either [left, right], or in older files "left right".
Status Reader::read_merge(ondemand::value value) {
  const auto fail = [&](std::string_view found) {
    return Error{ErrorCode::kInvalidData,
                 str_cat("model.merges[", source_.merges.size(),
                         "]: expected [left, right] or \"left right\", found ", found)};
  };
  std::string_view parts[2];
  ondemand::array array;
  if (!value.get_array().get(array)) {
    size_t num_parts = 0;
    for (auto element : array) {
      if (num_parts == 2) return fail("a third part");
      if (const simdjson::error_code code = element.get_string().get(parts[num_parts++]))
        return fail(simdjson::error_message(code));
    }
    if (num_parts != 2) return fail(str_cat(num_parts, " parts"));
  } else {
    std::string_view both;
    if (const simdjson::error_code code = value.get_string().get(both))
      return fail(simdjson::error_message(code));
    const size_t space = both.find(' ');
    if (space == std::string_view::npos || space != both.rfind(' ')) return fail(quote(both));
    parts[0] = both.substr(0, space);
    parts[1] = both.substr(space + 1);
  }
  source_.merges.emplace_back(parts[0], parts[1]);
  return {};
}

}  // namespace

Status with_tokenizer_json(const char* json, size_t size, size_t capacity,
                           const std::function<Status(const TokenizerSource&)>& use) {
  if (size > kMaxFileBytes)
    return Error{ErrorCode::kInvalidData,
                 str_cat("has ", size, " bytes, expected at most ", kMaxFileBytes)};
  simdjson::padded_string copy;
  simdjson::padded_string_view view(json, size, capacity);
  if (capacity - size < simdjson::SIMDJSON_PADDING) {
    copy = simdjson::padded_string(json, size);
    view = copy;
  }
  Reader reader;
  G4_ASSIGN_OR_RETURN(const TokenizerSource source, reader.read(view));
  return use(source);
}

Result<Tokenizer> read_tokenizer_json(const char* json, size_t size, size_t capacity) {
  std::optional<Tokenizer> tokenizer;
  const auto build = [&](const TokenizerSource& source) -> Status {
    G4_ASSIGN_OR_RETURN(tokenizer, source.build());
    return {};
  };
  G4_RETURN_IF_ERROR(with_tokenizer_json(json, size, capacity, build));
  return *std::move(tokenizer);
}

}  // namespace gemma4::text
