// What is read from other servers and what is not; the other servers are of this process.
#include "http/remote_files.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "http/server.h"

namespace gemma4::http {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(RemoteAddresses, OnlyThoseOfTheOpenInternetArePublic) {
  const auto is_public = [](const char* text) {
    sockaddr_storage storage{};
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1)
      storage.ss_family = AF_INET;
    else if (::inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
      storage.ss_family = AF_INET6;
    else
      ADD_FAILURE() << text;
    return is_public_address(reinterpret_cast<const sockaddr&>(storage));
  };
  for (const char* open :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.1", "172.15.255.255", "172.32.0.0", "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
        "2001:4860:4860::8888", "2a00::1", "2003::1"})
    EXPECT_TRUE(is_public(open)) << open;
  for (const char* special : {"0.0.0.0",
                              "0.255.255.255",
                              "10.0.0.1",
                              "100.64.0.1",
                              "100.127.255.255",
                              "127.0.0.1",
                              "127.255.255.255",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.0.0.8",
                              "192.0.2.1",
                              "192.88.99.1",
                              "192.168.1.1",
                              "198.18.0.1",
                              "198.19.255.255",
                              "198.51.100.1",
                              "203.0.113.1",
                              "224.0.0.1",
                              "239.255.255.255",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "::127.0.0.1",
                              "::ffff:127.0.0.1",
                              "::ffff:8.8.8.8",
                              "64:ff9b::7f00:1",
                              "64:ff9b:1::1",
                              "100::1",
                              "2001::1",
                              "2001:1ff:ffff::1",
                              "2001:db8::1",
                              "2002:7f00:1::",
                              "3fff::1",
                              "3fff:fff::1",
                              "fc00::1",
                              "fd12::1",
                              "fe80::1",
                              "fec0::1",
                              "ff02::1",
                              "4000::1"})
    EXPECT_FALSE(is_public(special)) << special;
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_FALSE(is_public_address(other));
}

TEST(RemoteHosts, PatternsNameAHostOrAllBelowOne) {
  EXPECT_TRUE(matches_host("example.org", "Example.ORG"));
  EXPECT_FALSE(matches_host("example.org", "a.example.org"));
  EXPECT_FALSE(matches_host("example.org", "example.org.evil.net"));
  EXPECT_TRUE(matches_host("*.example.org", "a.b.example.org"));
  EXPECT_FALSE(matches_host("*.example.org", "example.org"));
  EXPECT_FALSE(matches_host("*.example.org", "badexample.org"));
  EXPECT_FALSE(matches_host("*.example.org", ".example.org"));
  EXPECT_TRUE(matches_host("*", "anything"));
}

class Remote : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server =
        Server::start({.port = 0}, {.handle = [this](const std::shared_ptr<Exchange>& exchange) {
                        const std::string& path = exchange->request().path;
                        ++asked_;
                        exchange->reply(answers_.at(path)());
                      }});
    ASSERT_TRUE(server.ok());
    server_ = std::move(server).value();
    options_.hosts = {"127.0.0.1"};
    options_.may_reach = [](const sockaddr&) { return true; };
    answers_["/picture"] = [] { return Response{.body = "bytes"}; };
  }
  std::string at(const std::string& path, const std::string& host = "127.0.0.1") const {
    return str_cat("http://", host, ":", server_->port(), path);
  }
  Result<std::string> get(const std::string& url) const {
    const RemoteFiles remote(options_);
    return remote.get(url, remote.time_of_request());
  }
  static std::function<Response()> redirection(std::string to) {
    return [to = std::move(to)] { return Response{.status = 302, .headers = {{"Location", to}}}; };
  }
  std::string refusal(const std::string& url) const {
    const auto got = get(url);
    EXPECT_FALSE(got.ok()) << url;
    if (got.ok()) return "";
    EXPECT_EQ(got.error().code, ErrorCode::kInvalidArgument);
    return got.error().message;
  }

  std::map<std::string, std::function<Response()>> answers_;
  std::atomic<int> asked_ = 0;
  std::unique_ptr<Server> server_;
  RemoteFiles::Options options_;
};

TEST_F(Remote, FilesComeWithTheirBytes) {
  const std::string all("\0\xff\r\n\r\n", 6);
  answers_["/all"] = [&] { return Response{.body = all, .content_type = "image/png"}; };
  answers_["/empty"] = [] { return Response{}; };
  answers_["/moved"] = redirection("/all");
  for (const char* path : {"/all", "/moved"}) {
    const auto got = get(at(path));
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got.value(), all);
  }
  EXPECT_EQ(get(at("/empty")).value(), "");
}

TEST_F(Remote, HostsThatWereNotAllowedAreNotAsked) {
  for (const char* host : {"localhost", "127.0.0.2", "127.0.0.1.", "example.org"})
    EXPECT_THAT(refusal(at("/picture", host)), HasSubstr("none of those")) << host;
  EXPECT_THAT(refusal(at("/picture", "127.0.0.1@localhost")), HasSubstr("user"));
  EXPECT_THAT(refusal(at("/picture", "a:b@127.0.0.1")), HasSubstr("user"));
  EXPECT_THAT(refusal("file:///etc/passwd"), HasSubstr("only addresses of http and https"));
  EXPECT_THAT(refusal("gopher://127.0.0.1/"), HasSubstr("only addresses"));
  for (const char* broken : {"", "picture.png", "http://", "http://a b/", "http://[::1"})
    EXPECT_THAT(refusal(broken), HasSubstr("not an address")) << broken;
  options_.hosts = {};
  EXPECT_THAT(refusal(at("/picture")), HasSubstr("none of those"));
  EXPECT_EQ(asked_, 0);
}

TEST_F(Remote, PrivateAddressesAreNotConnectedTo) {
  options_.may_reach = is_public_address;
  options_.hosts = {"*"};
  // Other spellings of the same address, too
  for (const char* host : {"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "0x7f000001",
                           "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]"})
    EXPECT_THAT(refusal(at("/picture", host)), HasSubstr("private network")) << host;
  EXPECT_EQ(asked_, 0);
}

TEST_F(Remote, RedirectionsAreHeldToTheSameRules) {
  answers_["/elsewhere"] = redirection(at("/picture", "localhost"));
  answers_["/file"] = redirection("file:///etc/passwd");
  answers_["/loop"] = redirection("/loop");
  EXPECT_THAT(refusal(at("/elsewhere")), HasSubstr("none of those"));
  EXPECT_THAT(refusal(at("/file")), HasSubstr("only addresses"));
  EXPECT_EQ(asked_, 2);
  EXPECT_THAT(refusal(at("/loop")), HasSubstr("more than 3 redirections"));
  EXPECT_EQ(asked_, 6);
}

TEST_F(Remote, WhatCannotBeHadIsSaid) {
  options_.max_bytes = 1000;
  options_.timeout = milliseconds(500);
  answers_["/large"] = [] { return Response{.body = std::string(1001, 'x')}; };
  answers_["/fits"] = [] { return Response{.body = std::string(1000, 'x')}; };
  answers_["/none"] = [] { return Response{.status = 404, .body = "no"}; };
  answers_["/slow"] = [] {
    std::this_thread::sleep_for(milliseconds(900));
    return Response{};
  };
  EXPECT_TRUE(get(at("/fits")).ok());
  EXPECT_THAT(refusal(at("/large")), HasSubstr("more than 1000 bytes"));
  EXPECT_THAT(refusal(at("/none")), HasSubstr("answers with 404"));
  EXPECT_THAT(refusal(at("/slow")), HasSubstr("longer than 0.5 s"));
  EXPECT_THAT(refusal("http://127.0.0.1:1/"), HasSubstr("Failed to connect"));
}

TEST_F(Remote, OnlySoManyAreReadAtATime) {
  std::mutex mutex;
  std::condition_variable changed;
  bool may_end = false;
  int waiting = 0;
  answers_["/held"] = [&] {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return may_end; });
    return Response{};
  };
  options_.max_at_once = 1;
  const RemoteFiles remote(options_);
  const auto end = remote.time_of_request();
  std::thread first([&] { EXPECT_TRUE(remote.get(at("/held"), end).ok()); });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting == 1; });
  }
  const auto second = remote.get(at("/picture"), end);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  {
    const std::lock_guard lock(mutex);
    may_end = true;
  }
  changed.notify_all();
  first.join();
  EXPECT_TRUE(remote.get(at("/picture"), end).ok());
}

}  // namespace
}  // namespace gemma4::http
