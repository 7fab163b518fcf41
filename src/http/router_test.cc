#include "http/router.h"

#include <gtest/gtest.h>

namespace gemma4::http {
namespace {

TEST(Router, FindsByMethodAndPath) {
  Router<int> router;
  router.add("GET", "/v1/models", 1);
  router.add("GET", "/v1/models/{model}", 2);
  router.add("POST", "/v1/chat", 3);
  router.add("GET", "/v1/chat", 4);
  EXPECT_EQ(*router.find("GET", "/v1/models").target, 1);
  EXPECT_EQ(*router.find("HEAD", "/v1/models").target, 1);
  const auto named = router.find("GET", "/v1/models/google/gemma");
  EXPECT_EQ(*named.target, 2);
  EXPECT_EQ(named.parameter, "google/gemma");
  EXPECT_EQ(*router.find("POST", "/v1/chat").target, 3);
  const auto wrong_method = router.find("DELETE", "/v1/chat");
  EXPECT_EQ(wrong_method.target, nullptr);
  EXPECT_EQ(wrong_method.allowed, "POST, GET");
  for (const char* path : {"/", "", "/v1/models/", "/v1/modelsx", "/v1"}) {
    EXPECT_EQ(router.find("GET", path).target, nullptr) << path;
    EXPECT_EQ(router.find("GET", path).allowed, "") << path;
  }
}

}  // namespace
}  // namespace gemma4::http
