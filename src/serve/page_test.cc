// The page as it is served; tests/page drives it in a browser.
#include "serve/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "io/mapped_file.h"
#include "serve/service_testing.h"

namespace gemma4::serve {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr const char* kBrowserAccepts = "text/html,application/xhtml+xml,*/*;q=0.8";

class ServicePage : public ServiceTest {
 protected:
  using ServiceTest::ServiceTest;
  http::Response root(const std::string& accept) {
    return send({.method = "GET", .path = "/", .headers = {{"Accept", accept}}})->response;
  }
};

TEST_F(ServicePage, ComesToBrowsersAndALineOfTextToOthers) {
  const http::Response page = root(kBrowserAccepts);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(page.body, StartsWith("<!doctype html>"));
  EXPECT_THAT(page.headers, Contains(Pair("X-Content-Type-Options", "nosniff")));
  EXPECT_THAT(page.headers, Contains(Pair("Vary", "Accept")));
  EXPECT_THAT(page.headers,
              Contains(Pair("Content-Security-Policy",
                            AllOf(HasSubstr("default-src 'none'"), HasSubstr("script-src 'self'"),
                                  HasSubstr("require-trusted-types-for 'script'"),
                                  Not(HasSubstr("unsafe"))))));
  EXPECT_EQ(root("*/*").body, "gemma4 is running\n");
  EXPECT_EQ(get("/")->response.body, "gemma4 is running\n");
}

TEST_F(ServicePage, FilesAreThoseOfTheFolder) {
  EXPECT_GT(page_files().size(), 30u);
  for (const PageFile& file : page_files()) {
    SCOPED_TRACE(file.name);
    const std::string name(file.name);
    const auto source = io::read_file(std::string(GEMMA4_SOURCE_DIR) + "/src/serve/page/" + name);
    ASSERT_TRUE(source.ok());
    const http::Response response = get("/page/" + name)->response;
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.body == source.value());
    EXPECT_THAT(response.headers, Contains(Pair("ETag", std::string(file.etag))));
    EXPECT_THAT(response.headers, Contains(Pair("Cache-Control", "no-cache")));
  }
  EXPECT_EQ(get("/page/main.js")->response.content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(get("/page/style.css")->response.content_type, "text/css; charset=utf-8");
  EXPECT_EQ(get("/page/gem.svg")->response.content_type, "image/svg+xml");
}

TEST_F(ServicePage, WhoHasAFileIsToldSo) {
  const http::Response first = get("/page/main.js")->response;
  const auto etag = std::find_if(first.headers.begin(), first.headers.end(),
                                 [](const auto& header) { return header.first == "ETag"; });
  ASSERT_NE(etag, first.headers.end());
  const auto ask = [&](const std::string& known) {
    return send({.method = "GET", .path = "/page/main.js", .headers = {{"If-None-Match", known}}})
        ->response;
  };
  EXPECT_EQ(ask(etag->second).status, 304);
  EXPECT_THAT(ask(etag->second).body, IsEmpty());
  EXPECT_EQ(ask("\"x\", W/" + etag->second).status, 304);
  EXPECT_EQ(ask("\"x\"").status, 200);
  EXPECT_EQ(ask("").status, 200);
}

TEST_F(ServicePage, HasNoOtherFiles) {
  for (const char* name : {"", "x.js", "../page.h", "..%2fpage.h", "vendor", "vendor/", "/main.js"})
    EXPECT_EQ(get(std::string("/page/") + name)->response.status, 404) << name;
}

// Nothing is loaded from elsewhere, and no script stands in markup.
TEST_F(ServicePage, RefersOnlyToItself) {
  const std::string page = root(kBrowserAccepts).body;
  const std::regex reference(R"re((?:src|href)="([^"#]+)")re");
  for (std::sregex_iterator it(page.begin(), page.end(), reference), end; it != end; ++it) {
    const std::string path = (*it)[1];
    EXPECT_EQ(get(path)->response.status, 200) << path;
  }
  EXPECT_THAT(page, Not(HasSubstr("style=\"")));
  EXPECT_THAT(page, HasSubstr(R"(<script type="module" src="/page/main.js"></script>)"));
}

class ServiceWithoutPage : public ServicePage {
 protected:
  ServiceWithoutPage() : ServicePage({.page = false}) {}
};

TEST_F(ServiceWithoutPage, HasNone) {
  EXPECT_EQ(root(kBrowserAccepts).body, "gemma4 is running\n");
  EXPECT_EQ(get("/page/main.js")->response.status, 404);
}

}  // namespace
}  // namespace gemma4::serve
