// Constrained decoding with the real vocabulary: compile time, and the time of a mask over whole
// answers. scripts/fetch_vocabulary.sh fetches the vocabulary; without it nothing is measured.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "constrain/matcher.h"
#include "constrain/schema_grammar.h"
#include "text/tokenizer.h"

namespace gemma4::constrain {
namespace {

struct Case {
  const char* name;
  const char* schema;
  const char* answer;  // a text of the grammar
};

const Case kCases[] = {
    {"weather tool",
     R"({"type":"object","properties":{"location":{"type":"string","description":"City"},
        "unit":{"enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1,"maximum":14}},
        "required":["location"],"additionalProperties":false})",
     R"({"location": "San Francisco, CA", "unit": "celsius", "days": 7})"},
    {"person",
     R"({"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":80},
        "age":{"type":"integer","minimum":0,"maximum":150},"email":{"type":"string","format":"email"},
        "born":{"type":"string","format":"date"},"tags":{"type":"array","items":{"type":"string"},
        "maxItems":10},"address":{"$ref":"#/$defs/address"}},"required":["name","age","email"],
        "$defs":{"address":{"type":"object","properties":{"street":{"type":"string"},
        "zip":{"type":"string","pattern":"^[0-9]{5}$"},"country":{"enum":["DE","FR","US","JP"]}},
        "required":["street","country"],"additionalProperties":false}}})",
     R"({"name": "Grace Brewster Hopper", "age": 85, "email": "grace.hopper@navy.example", "born": "1906-12-09", "tags": ["computing", "compilers", "COBOL"], "address": {"street": "1 Main Street", "zip": "10001", "country": "US"}})"},
    {"free JSON", "true",
     R"({"answer": {"items": [1, 2.5, -3e4, "text with \"quotes\" and é", null, true], "nested": {"a": {"b": []}}}, "comment": "The quick brown fox jumps over the lazy dog."})"},
    {"union of events",
     R"({"type":"array","items":{"anyOf":[
        {"type":"object","properties":{"kind":{"const":"click"},"x":{"type":"number"},"y":{"type":"number"}},
         "required":["kind","x","y"],"additionalProperties":false},
        {"type":"object","properties":{"kind":{"const":"key"},"code":{"type":"string","pattern":"^[A-Z][A-Za-z]{0,10}$"}},
         "required":["kind","code"],"additionalProperties":false},
        {"type":"object","properties":{"kind":{"const":"scroll"},"delta":{"type":"integer"}},
         "required":["kind","delta"],"additionalProperties":false}]}})",
     R"([{"kind":"click","x":10.5,"y":20},{"kind":"key","code":"Enter"},{"kind":"scroll","delta":-120}])"},
    {"recursive tree",
     R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{
        "name":{"type":"string"},"value":{"type":["number","null"]},
        "children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["name"],
        "additionalProperties":false}}})",
     R"({"name": "root", "value": null, "children": [{"name": "left", "value": 1.5, "children": []}, {"name": "right", "children": [{"name": "leaf", "value": -2}]}]})"},
};

// Single strings whose text is limited: each code point may be a state of its own.
#define GEMMA4_PROSE                                                                            \
  "The quick brown fox jumps over the lazy dog - and 13 other animals were watching it. Nobody" \
  " knows why."
const Case kStrings[] = {
    {"email", R"({"type":"string","format":"email"})",
     R"("grace.hopper-1906+cobol@computing.navy-archives.example.org")"},
    {"email, maxLength 60", R"({"type":"string","format":"email","maxLength":60})",
     R"("grace.hopper-1906+cobol@computing.navy-archives.example.org")"},
    {"uri, maxLength 2083", R"({"type":"string","format":"uri","minLength":1,"maxLength":2083})",
     R"("https://archive.example.org:8080/papers/1952/Education%20of%20a%20computer.pdf?page=3&view=full#notes")"},
    {"hostname", R"({"type":"string","format":"hostname"})",
     R"("build-17.Continuous-Integration.eu-west.internal.example.org")"},
    {"maxLength 450", R"({"type":"string","maxLength":450})", "\"" GEMMA4_PROSE "\""},
    {"minLength 5, maxLength 100", R"({"type":"string","minLength":5,"maxLength":100})",
     R"("Zażółć gęślą jaźń \\ \"一二三\" 😀, and so on\n.")"},
    {"maxLength 30", R"({"type":"string","maxLength":30})", R"("The quick brown fox, and so on")"},
    {"^[^<>]*$, maxLength 40", R"({"type":"string","pattern":"^[^<>]*$","maxLength":40})",
     R"("The quick brown fox jumps over the dog")"},
    {"^.{1,500}$", R"({"type":"string","pattern":"^.{1,500}$"})", "\"" GEMMA4_PROSE "\""},
    {"^[\\w -]{1,100}$", R"({"type":"string","pattern":"^[\\w -]{1,100}$"})",
     R"("The quick brown fox jumps over the lazy dog - and 13 other animals were watching")"},
    {"\\S, maxLength 10000", R"({"type":"string","pattern":"\\S","maxLength":10000})",
     "\"" GEMMA4_PROSE "\""},
    {"^[^@]+$, maxLength 80", R"({"type":"string","pattern":"^[^@]+$","maxLength":80})",
     R"("Nobody knows why the quick brown fox jumps over the lazy dog: ask it.")"},
    {"uuid", R"({"type":"string","format":"uuid"})", R"("123e4567-e89b-12d3-a456-426614174000")"},
    {"iri, maxLength 200", R"({"type":"string","format":"iri","maxLength":200})",
     R"("https://例え.example/Zażółć/資料?名前=値#節")"},
};
#undef GEMMA4_PROSE

std::string vocabulary_path() {
  return std::string(GEMMA4_SOURCE_DIR) + "/build/cache/vocabulary/tokenizer.json";
}

const text::Tokenizer* tokenizer() {
  static const std::optional<text::Tokenizer> kTokenizer = [] {
    auto loaded = text::Tokenizer::load(vocabulary_path());
    return loaded.ok() ? std::optional(std::move(loaded).value()) : std::nullopt;
  }();
  return kTokenizer ? &*kTokenizer : nullptr;
}

std::shared_ptr<const VocabularyIndex> vocabulary() {
  static const auto kIndex = VocabularyIndex::build(*tokenizer());
  return kIndex;
}

std::shared_ptr<const CompiledGrammar> compile(const Case& c) {
  const auto schema = json::parse(c.schema);
  return std::make_shared<CompiledGrammar>(grammar_of_schema(schema.value(), {}).value());
}

void report(benchmark::State& state, std::vector<double>& times) {
  std::sort(times.begin(), times.end());
  const auto at = [&](double q) { return times[static_cast<size_t>(q * (times.size() - 1))]; };
  state.counters["p50_us"] = at(0.5);
  state.counters["p99_us"] = at(0.99);
  state.counters["max_us"] = times.back();
  state.counters["steps"] = static_cast<double>(times.size());
}

// All masks of the answer. Cold: nothing is known of the grammar but its tables; warm: another
// request has been through it.
void masks(benchmark::State& state, const Case& c, bool warm) {
  if (tokenizer() == nullptr) return state.SkipWithError("the vocabulary is missing");
  const std::vector<text::TokenId> ids = tokenizer()->encode(c.answer);
  std::vector<uint32_t> bits(vocabulary()->num_words());
  std::vector<double> times;
  std::shared_ptr<const CompiledGrammar> grammar = compile(c);
  for (auto _ : state) {
    if (!warm) {
      state.PauseTiming();
      grammar = compile(c);
      state.ResumeTiming();
    }
    Matcher matcher(grammar, vocabulary());
    for (const text::TokenId id : ids) {
      const auto begin = std::chrono::steady_clock::now();
      matcher.allowed(bits);
      const auto end = std::chrono::steady_clock::now();
      times.push_back(std::chrono::duration<double, std::micro>(end - begin).count());
      if ((bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1) == 0 || !matcher.accept(id))
        return state.SkipWithError("the answer is not of the grammar");
    }
    if (!matcher.can_end()) return state.SkipWithError("the answer is not complete");
  }
  report(state, times);
}

void compile_schema(benchmark::State& state, const Case& c) {
  for (auto _ : state) benchmark::DoNotOptimize(compile(c));
}

void build_index(benchmark::State& state) {
  if (tokenizer() == nullptr) return state.SkipWithError("the vocabulary is missing");
  for (auto _ : state) benchmark::DoNotOptimize(VocabularyIndex::build(*tokenizer()));
}

// Writes the vocabulary and the cases for scripts/compare_xgrammar.sh.
void write_cases(const char* path) {
  std::ofstream out(path);
  json::Value::Array pieces;
  for (text::TokenId id = 0; id < tokenizer()->vocab_size(); ++id)
    pieces.emplace_back(tokenizer()->piece(id));
  out << json::dump(json::Value(json::Value::Object{{"pieces", std::move(pieces)}})) << '\n';
  for (const Case& c : kCases) {
    json::Value::Array ids;
    for (const text::TokenId id : tokenizer()->encode(c.answer)) ids.emplace_back(id);
    out << json::dump(json::Value(json::Value::Object{
               {"name", c.name}, {"schema", c.schema}, {"ids", std::move(ids)}}))
        << '\n';
  }
}

const bool kRegistered = [] {
  const char* cases = std::getenv("GEMMA4_CONSTRAIN_CASES");
  if (cases != nullptr && tokenizer() != nullptr) write_cases(cases);
  benchmark::RegisterBenchmark("vocabulary index", build_index)->Unit(benchmark::kMillisecond);
  std::vector<Case> all(std::begin(kCases), std::end(kCases));
  all.insert(all.end(), std::begin(kStrings), std::end(kStrings));
  for (const Case& c : all) {
    const std::string name = c.name;
    benchmark::RegisterBenchmark((name + "/compile").c_str(), compile_schema, c)
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark((name + "/cold masks").c_str(), masks, c, false)
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark((name + "/warm masks").c_str(), masks, c, true)
        ->Unit(benchmark::kMicrosecond);
  }
  return true;
}();

}  // namespace
}  // namespace gemma4::constrain
