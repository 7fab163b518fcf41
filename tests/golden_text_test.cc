// Every text key of the tiny goldens, on every kernel table: the numbers of the reference
// implementation.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "apps/verify_text.h"
#include "kernels/registry.h"

namespace gemma4::apps {
namespace {

struct Case {
  std::string model;
  std::string kernels;
  int num_keys;  // text keys in the file: a key that goes missing must be noticed
};

std::vector<Case> all_cases() {
  std::vector<std::string> tables = {"reference"};
  for (const kernels::Table& table : kernels::all_cpu_tables()) tables.emplace_back(table.name);
  std::vector<Case> cases;
  for (const std::string& table : tables)
    for (const auto& [model, keys] : std::vector<std::pair<std::string, int>>{
             {"tiny-e", 15}, {"tiny-12b", 9}, {"tiny-31b", 10}, {"tiny-26b", 10}})
      cases.push_back({model, table, keys});
  return cases;
}

class GoldenText : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { setenv("GEMMA4_KERNELS", GetParam().kernels.c_str(), 1); }
  void TearDown() override { unsetenv("GEMMA4_KERNELS"); }
};

TEST_P(GoldenText, AgreesWithReference) {
  const std::string folder = std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/" + GetParam().model;
  auto model = model::Model::load(folder);
  ASSERT_TRUE(model.ok()) << model.error().message;
  auto golden = io::TensorStore::open(folder + "/golden.safetensors");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const auto results = verify_golden(std::make_shared<const model::Model>(std::move(model).value()),
                                     golden.value(), {.keys = "text.*"});
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(static_cast<int>(results.value().size()), GetParam().num_keys);
  for (const KeyResult& result : results.value())
    EXPECT_TRUE(result.passed()) << result.key << ": " << result.problem << " relative error "
                                 << result.relative_error;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenText, testing::ValuesIn(all_cases()), [](const auto& test) {
  std::string name = test.param.model + "_" + test.param.kernels;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

}  // namespace
}  // namespace gemma4::apps
