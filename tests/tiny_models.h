// The tiny goldens as models: a test case for each, and tokens to feed them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/model.h"
#include "tests/kernel_testing.h"

namespace gemma4::testing {

// For INSTANTIATE_TEST_SUITE_P: the names, and what to call the cases.
inline auto tiny_models() {
  return ::testing::Values("tiny-e", "tiny-12b", "tiny-31b", "tiny-26b");
}
inline std::string tiny_case_name(const ::testing::TestParamInfo<const char*>& test) {
  return std::string(test.param).replace(4, 1, "_");
}

// Loaded once per program.
inline std::shared_ptr<const model::Model> load_tiny(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const model::Model>> cache;
  auto& model = cache[name];
  if (model == nullptr) {
    auto loaded = model::Model::load(std::string(GEMMA4_SOURCE_DIR) + "/tests/golden/" + name);
    G4_CHECK(loaded.ok());
    model = std::make_shared<const model::Model>(std::move(loaded).value());
  }
  return model;
}

// <bos> and random ones after it; of one seed, a shorter list begins a longer one.
inline std::vector<int32_t> random_tokens(uint64_t seed, int64_t count, int64_t vocab_size) {
  Random random(seed);
  std::vector<int32_t> ids = {2};
  while (static_cast<int64_t>(ids.size()) < count)
    ids.push_back(static_cast<int32_t>(random.below(vocab_size)));
  return ids;
}

}  // namespace gemma4::testing
