// The official test suite of JSON Schema: every schema is refused with a reason, or its grammar
// accepts the valid instances and rejects the others.
//
// scripts/fetch_schema_suite.sh fetches the suite; it is not part of the project.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "constrain/explorer.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {
namespace {

const std::string kFolder = std::string(GEMMA4_SOURCE_DIR) + "/build/cache/json-schema-suite/";

std::string contents(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct Counts {
  int tests = 0, refused = 0, too_strict = 0, too_lax = 0;
  std::map<std::string, int> reasons;
};

bool accepts(Explorer& explorer, const std::string& text) {
  ConfigId config = explorer.start();
  for (const char c : text)
    if ((config = explorer.step(config, static_cast<uint8_t>(c))) == kDeadConfig) return false;
  return explorer.can_end(config);
}

// `value` with whole numbers written without a point, as they are where nothing else is allowed:
// many readers of integers refuse 1.0.
json::Value without_points(json::Value value) {
  if (value.is_array()) {
    for (json::Value& element : value.as_array()) element = without_points(std::move(element));
  } else if (value.is_object()) {
    for (auto& [name, member] : value.as_object()) member = without_points(std::move(member));
  } else if (value.is_number()) {
    const std::string& text = value.as_number().text;
    if (text.ends_with(".0")) return json::parse(text.substr(0, text.size() - 2)).value();
  }
  return value;
}

void run_group(const json::Value& group, const std::string& file, const SchemaOptions& options,
               Counts& counts) {
  const auto& tests = group.find("tests")->as_array();
  counts.tests += static_cast<int>(tests.size());
  auto grammar = grammar_of_schema(*group.find("schema"), options);
  const bool nothing = !grammar.ok() && grammar.error().message.starts_with("nothing satisfies");
  if (!grammar.ok() && !nothing) {
    counts.refused += static_cast<int>(tests.size());
    counts.reasons[file + ": " + grammar.error().message] += static_cast<int>(tests.size());
    return;
  }
  std::optional<Explorer> explorer;
  if (!nothing) explorer.emplace(grammar.value());
  for (const json::Value& test : tests) {
    const std::string text = json::dump(without_points(*test.find("data")));
    const bool accepted = explorer && accepts(*explorer, text);
    if (accepted == test.find("valid")->as_bool()) continue;
    ++(accepted ? counts.too_lax : counts.too_strict);
    const bool known = !accepted && text.find(":60") != text.npos;  // leap seconds, see formats.cc
    if (known) continue;
    ADD_FAILURE() << file << ": " << group.find("description")->as_string() << ": "
                  << test.find("description")->as_string() << ": " << text << " should be "
                  << (accepted ? "rejected" : "accepted") << " by "
                  << json::dump(*group.find("schema"));
  }
}

Counts run(const std::string& folder, const SchemaOptions& options) {
  Counts counts;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder + folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    const auto groups = json::parse(contents(path));
    if (!groups.ok()) continue;  // numbers beyond a double's range
    if (folder.ends_with("format") && dfa_of_format(path.stem().string()) == nullptr) continue;
    for (const json::Value& group : groups.value().as_array())
      run_group(group, path.filename().string(), options, counts);
  }
  printf("%s: %d tests, %d refused (%.1f %%), %d valid ones rejected, %d invalid ones accepted\n",
         folder.c_str(), counts.tests, counts.refused,
         100.0 * counts.refused / std::max(counts.tests, 1), counts.too_strict, counts.too_lax);
  if (std::getenv("GEMMA4_VERBOSE_TESTS") != nullptr)
    for (const auto& [reason, count] : counts.reasons) printf("%4d  %s\n", count, reason.c_str());
  return counts;
}

class SchemaSuite : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kFolder + "tests/draft2020-12"))
      GTEST_SKIP() << kFolder << " is missing; scripts/fetch_schema_suite.sh fetches it";
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(kFolder + "remotes/draft2020-12")) {
      if (!entry.is_regular_file()) continue;
      auto value = json::parse(contents(entry.path()));
      if (!value.ok()) continue;
      remotes_.emplace_back(
          "http://localhost:1234/draft2020-12/" +
              std::filesystem::relative(entry.path(), kFolder + "remotes/draft2020-12").string(),
          std::make_unique<json::Value>(std::move(value).value()));
    }
  }
  SchemaOptions options(bool formats) const {
    SchemaOptions result{.enforce_formats = formats};
    for (const auto& [uri, value] : remotes_) result.documents.emplace_back(uri, value.get());
    return result;
  }

 private:
  std::vector<std::pair<std::string, std::unique_ptr<json::Value>>> remotes_;
};

TEST_F(SchemaSuite, Required) {
  const Counts counts = run("tests/draft2020-12", options(false));
  EXPECT_EQ(counts.tests, 1176);
  EXPECT_EQ(counts.too_strict, 0);
  EXPECT_EQ(counts.too_lax, 0);
  EXPECT_LE(counts.refused, 118);
  EXPECT_LE(counts.refused * 100, counts.tests * 12);
}

TEST_F(SchemaSuite, Formats) {
  const Counts counts = run("tests/draft2020-12/optional/format", options(true));
  EXPECT_EQ(counts.too_strict, 5);  // leap seconds away from UTC
  EXPECT_EQ(counts.too_lax, 0);
}

}  // namespace
}  // namespace gemma4::constrain
