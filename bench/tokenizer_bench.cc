// Speed of the tokenizer with the real vocabulary: loading, encoding, decoding, streaming.
//
//   GEMMA4_VOCABULARY=FOLDER bench/tokenizer_bench    default: build/cache/vocabulary
//   GEMMA4_BENCH_TEXT=FILE                            also encodes this file
//
// bytes_per_second counts bytes of UTF-8 text. The generated texts come with repeated words, as
// real ones do, and with every word different, which leaves the cache of chunks nothing to do.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "io/mapped_file.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace gemma4::text {
namespace {

constexpr size_t kTextBytes = size_t{1} << 20;

std::string vocabulary_folder() {
  const char* folder = std::getenv("GEMMA4_VOCABULARY");
  return folder != nullptr ? folder : std::string(GEMMA4_SOURCE_DIR) + "/build/cache/vocabulary";
}

// The vocabulary, loaded once; ends the benchmark with the reason when it is not there.
const Tokenizer* vocabulary(benchmark::State& state) {
  static const Result<Tokenizer> kTokenizer = Tokenizer::load(vocabulary_folder());
  if (kTokenizer.ok()) return &kTokenizer.value();
  const std::string reason =
      kTokenizer.error().message + "; scripts/fetch_vocabulary.sh fetches it";
  state.SkipWithError(reason.c_str());
  return nullptr;
}

using Words = std::vector<std::string>;

const Words kEnglish = {
    "the",      "of",    "and",    "to",      "in",        "a",          "is",
    "that",     "it",    "was",    "for",     "on",        "are",        "with",
    "as",       "his",   "they",   "be",      "at",        "one",        "have",
    "this",     "from",  "or",     "had",     "by",        "but",        "some",
    "what",     "there", "we",     "can",     "out",       "other",      "were",
    "all",      "your",  "when",   "use",     "word",      "how",        "said",
    "each",     "she",   "which",  "their",   "time",      "will",       "way",
    "about",    "many",  "then",   "them",    "would",     "write",      "like",
    "these",    "her",   "long",   "make",    "thing",     "see",        "him",
    "two",      "has",   "look",   "more",    "day",       "could",      "go",
    "come",     "did",   "my",     "sound",   "no",        "most",       "number",
    "who",      "over",  "know",   "water",   "than",      "call",       "first",
    "people",   "may",   "down",   "side",    "been",      "now",        "find",
    "any",      "new",   "work",   "part",    "take",      "get",        "place",
    "made",     "live",  "where",  "after",   "back",      "little",     "only",
    "round",    "man",   "year",   "came",    "show",      "every",      "good",
    "give",     "under", "open",   "seem",    "together",  "next",       "white",
    "children", "begin", "walked", "example", "important", "government", "understanding"};
const Words kCode = {"const auto",
                     "std::vector",
                     "return",
                     "for (size_t i = 0;",
                     "if (",
                     "else {",
                     "static_cast<int>(",
                     "nullptr",
                     "->",
                     "size()",
                     "begin()",
                     "value",
                     "index",
                     "== 0",
                     "!= ",
                     "result",
                     "buffer",
                     "template <typename T>",
                     "  //",
                     "std::string_view",
                     "push_back(",
                     ");",
                     "}",
                     "{",
                     "\n  ",
                     "\n    ",
                     "\n\n",
                     "int32_t",
                     "switch (",
                     "case",
                     "break;",
                     "constexpr",
                     "noexcept",
                     "&&",
                     "||",
                     "++i)",
                     "[i]",
                     "0x7F",
                     "1024",
                     "\"text\"",
                     "error",
                     "state_"};
const Words kMixed = {"der schnelle braune Fuchs",
                      "über",
                      "Straße",
                      "el niño corrió",
                      "mañana",
                      "größer",
                      "быстрая",
                      "коричневая лиса",
                      "прыгает",
                      "через",
                      "素早い茶色の狐が",
                      "のろまな犬を",
                      "飛び越える",
                      "我能吞下玻璃",
                      "而不伤身体",
                      "天地玄黄",
                      "الثعلب البني",
                      "السريع",
                      "שועל",
                      "חום",
                      "तेज़ भूरी लोमड़ी",
                      "빠른 갈색",
                      "여우가",
                      "ไทย",
                      "ταχεία αλεπού",
                      "où l'été",
                      "naïve",
                      "🙂",
                      "👩‍👩‍👧",
                      "🇨🇭",
                      "Zażółć gęślą",
                      "jaźń",
                      "hızlı tilki",
                      "nhanh nhẹn",
                      "và",
                      "the",
                      "and",
                      "of"};

// Texts of about kTextBytes; the same at every run.
std::string text_of(const Words& words, std::string_view separator) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < kTextBytes) {
    // The square of a uniform number: the first words are the frequent ones, as in real text.
    const double uniform = static_cast<double>(random()) / 4294967296.0;
    text += words[static_cast<size_t>(uniform * uniform * static_cast<double>(words.size()))];
    text += random() % 12 == 0 ? ".\n" : separator;
  }
  return text;
}

// Four words run together, so that hardly any chunk appears twice.
std::string text_without_repeats(const Words& words) {
  std::mt19937 random(2);
  std::string text;
  while (text.size() < kTextBytes) {
    for (int i = 0; i < 4; ++i) text += words[random() % words.size()];
    text += ' ';
  }
  return text;
}

void encode(benchmark::State& state, const std::string& text) {
  const Tokenizer* tokenizer = vocabulary(state);
  if (tokenizer == nullptr) return;
  size_t num_ids = 0;
  for (auto _ : state) num_ids = tokenizer->encode(text).size();
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
  state.counters["bytes_per_token"] =
      static_cast<double>(text.size()) / static_cast<double>(num_ids);
}

void decode(benchmark::State& state) {
  const Tokenizer* tokenizer = vocabulary(state);
  if (tokenizer == nullptr) return;
  const std::string text = text_of(kMixed, " ");
  const std::vector<TokenId> ids = tokenizer->encode(text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(ids));
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
}

void stream(benchmark::State& state) {
  const Tokenizer* tokenizer = vocabulary(state);
  if (tokenizer == nullptr) return;
  const std::vector<TokenId> ids = tokenizer->encode(text_of(kMixed, " "));
  for (auto _ : state) {
    Detokenizer detokenizer(*tokenizer);
    for (const TokenId id : ids) benchmark::DoNotOptimize(detokenizer.push(id));
  }
  state.SetItemsProcessed(static_cast<int64_t>(ids.size()) * state.iterations());
}

void load(benchmark::State& state, const char* file) {
  const std::string path = vocabulary_folder() + "/" + file;
  for (auto _ : state) {
    const auto tokenizer = Tokenizer::load(path);
    if (!tokenizer.ok()) {
      const std::string reason =
          tokenizer.error().message + "; scripts/fetch_vocabulary.sh fetches it";
      return state.SkipWithError(reason.c_str());
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(std::filesystem::file_size(path)) *
                          state.iterations());
}

// A text file of one's own.
void encode_file(benchmark::State& state) {
  const auto text = io::read_file(std::getenv("GEMMA4_BENCH_TEXT"));
  if (!text.ok()) return state.SkipWithError(text.error().message.c_str());
  encode(state, text.value());
}

BENCHMARK_CAPTURE(load, json, "tokenizer.json")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(load, gguf, "ggml-vocab-gemma-4.gguf")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(encode, english, text_of(kEnglish, " "));
BENCHMARK_CAPTURE(encode, english_without_repeats, text_without_repeats(kEnglish));
BENCHMARK_CAPTURE(encode, code, text_of(kCode, " "));
BENCHMARK_CAPTURE(encode, code_without_repeats, text_without_repeats(kCode));
BENCHMARK_CAPTURE(encode, mixed, text_of(kMixed, " "));
BENCHMARK_CAPTURE(encode, mixed_without_repeats, text_without_repeats(kMixed));
BENCHMARK_CAPTURE(encode, one_letter, std::string(kTextBytes, 'a'));
BENCHMARK_CAPTURE(encode, short_prompt, std::string("What is the capital of Switzerland?"));
[[maybe_unused]] const auto* const kEncodeFile =
    std::getenv("GEMMA4_BENCH_TEXT") == nullptr
        ? nullptr
        : benchmark::RegisterBenchmark("encode_file", encode_file);
BENCHMARK(decode);
BENCHMARK(stream);

}  // namespace
}  // namespace gemma4::text
