#include "constrain/grammar_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/strings.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {
namespace {

using ::testing::HasSubstr;

const std::shared_ptr<const VocabularyIndex>& vocabulary() {
  static const auto kIndex = VocabularyIndex::build(
      text::Tokenizer::load(std::string(GEMMA4_SOURCE_DIR) + "/models/demo").value());
  return kIndex;
}

// A cache that counts what it compiles.
class Counted {
 public:
  template <typename... Limits>
  explicit Counted(Limits... limits) : cache(limits...) {}
  GrammarCache::Outcome get(const std::string& schema) {
    return cache.get("schema", schema, [&] {
      ++compilations;
      return grammar_of_schema(json::parse(schema).value(), {});
    });
  }

  GrammarCache cache;
  std::atomic<int> compilations = 0;
};

TEST(GrammarCache, KeepsTheLastUsed) {
  Counted c(2);
  const std::string none = R"({"type":"null"})";
  for (const std::string& schema : {std::string("true"), std::string("{}"), std::string("true")})
    EXPECT_TRUE(c.get(schema).ok());
  EXPECT_EQ(c.compilations, 2);
  EXPECT_TRUE(c.get(none).ok());  // {} goes
  EXPECT_TRUE(c.get("true").ok());
  EXPECT_EQ(c.compilations, 3);
  EXPECT_TRUE(c.get("{}").ok());
  EXPECT_EQ(c.compilations, 4);
  EXPECT_EQ(c.cache.size(), 2U);
}

TEST(GrammarCache, KindsAreApart) {
  GrammarCache cache;
  const auto compile = [] { return grammar_of_schema(json::parse("true").value(), {}); };
  const auto first = cache.get("schema", "true", compile).value();
  EXPECT_NE(cache.get("regex", "true", compile).value(), first);
  EXPECT_EQ(cache.get("schema", "true", compile).value(), first);
}

TEST(GrammarCache, ErrorsAreKept) {
  Counted c;
  for (int i = 0; i < 3; ++i) {
    const auto refused = c.get(R"x({"pattern":"(?!a)"})x");
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, HasSubstr("pattern"));
  }
  EXPECT_EQ(c.compilations, 1);
}

TEST(GrammarCache, OutOfMemoryIsAnErrorOfTheMoment) {
  GrammarCache cache;
  int calls = 0;
  const auto compile = [&]() -> Result<std::shared_ptr<const Grammar>> {
    if (++calls == 1) throw std::bad_alloc();
    return grammar_of_schema(json::parse("true").value(), {});
  };
  const auto failed = cache.get("schema", "true", compile);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(cache.get("schema", "true", compile).ok());
  EXPECT_EQ(calls, 2);
}

// A schema whose source and grammar are large.
std::string large_schema(int number) {
  std::string text = str_cat(R"({"description":")", number, R"(","enum":[)");
  for (int i = 0; i < 2000; ++i) text += str_cat(i == 0 ? "" : ",", "\"", 1000 * i, "\"");
  return text + "]}";
}

TEST(GrammarCache, MemoryIsBounded) {
  size_t one = 0;
  {
    Counted c;
    ASSERT_TRUE(c.get(large_schema(0)).ok());
    one = c.cache.bytes();
    EXPECT_GT(one, large_schema(0).size());
  }
  Counted c(100, 3 * one + one / 2);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(c.get(large_schema(i)).ok());
    EXPECT_EQ(c.cache.size(), std::min<size_t>(i + 1, 3));
    EXPECT_LE(c.cache.bytes(), 3 * one + one / 2);
  }
  EXPECT_TRUE(c.get(large_schema(8)).ok());
  EXPECT_EQ(c.compilations, 10);
  // What is larger than everything is compiled, and not kept.
  Counted tiny(100, one / 2);
  EXPECT_TRUE(tiny.get(large_schema(0)).ok());
  EXPECT_EQ(tiny.cache.size(), 0U);
  // Errors count, too: they keep their source.
  Counted errors(100, 10000);
  const std::string source(4000, ' ');
  for (int i = 0; i < 10; ++i)
    EXPECT_FALSE(errors.get(source + str_cat(R"({"type":)", i, "}")).ok());
  EXPECT_EQ(errors.cache.size(), 2U);
}

TEST(GrammarCache, TablesCountOnceTheirTextHasEnded) {
  Counted c;
  const auto grammar = c.get(R"({"type":"string"})").value();
  const size_t before = c.cache.bytes();
  {
    Matcher matcher(grammar, vocabulary());
    std::vector<uint32_t> bits(vocabulary()->num_words());
    matcher.allowed(bits);
  }
  EXPECT_GT(c.cache.bytes(), before + 1000);
}

TEST(GrammarCache, ThreadsCompileASourceOnce) {
  Counted c;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; ++i) {
        const auto grammar = c.get(str_cat(R"({"enum":[)", (i + t) % 10, "]}"));
        ASSERT_TRUE(grammar.ok());
        Matcher matcher(grammar.value(), vocabulary());
        EXPECT_TRUE(matcher.accept_bytes(str_cat((i + t) % 10)));
        EXPECT_FALSE(c.get(R"({"type":"strnig"})").ok());
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(c.compilations, 11);
}

TEST(GrammarCache, ThreadsMayShareACacheThatIsTooSmall) {
  Counted c(3, 20000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const auto grammar = c.get(str_cat(R"({"enum":[)", (i * t) % 10, "]}"));
        ASSERT_TRUE(grammar.ok());
        EXPECT_TRUE(Matcher(grammar.value(), vocabulary()).accept_bytes(str_cat((i * t) % 10)));
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(c.get("true").ok());  // now that all tables have come back
  EXPECT_LE(c.cache.size(), 3U);
  EXPECT_LE(c.cache.bytes(), 20000U);
}

}  // namespace
}  // namespace gemma4::constrain
