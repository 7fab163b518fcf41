#include "http/form_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"

namespace gemma4::http {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kType = "multipart/form-data; boundary=XX";

TEST(FormData, PartsComeInTheirOrderWithTheirBytes) {
  const std::string body =
      "ignored\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ndemo\r\n"
      "--XX\r\ncontent-disposition: form-data; name=file; filename=\"a \\\"b\\\"; c.wav\"\r\n"
      "Content-Type: audio/wav\r\n\r\n\r\n--X-\r\n"
      "--XX\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--XX--\r\n";
  const std::string bytes(body.data(), body.size());
  for (const std::string_view type :
       {kType, std::string_view("Multipart/Form-Data; charset=x; boundary=\"XX\"")}) {
    const auto parts = parse_form(type, bytes);
    ASSERT_TRUE(parts.ok()) << parts.error().message;
    ASSERT_EQ(parts.value().size(), 3);
    EXPECT_EQ(parts.value()[0].name, "model");
    EXPECT_EQ(parts.value()[0].data, "demo");
    EXPECT_EQ(parts.value()[0].file_name, "");
    EXPECT_EQ(parts.value()[1].name, "file");
    EXPECT_EQ(parts.value()[1].file_name, "a \"b\"; c.wav");
    EXPECT_EQ(parts.value()[1].data, "\r\n--X-");
    EXPECT_EQ(parts.value()[2].data, "");
  }
}

TEST(FormData, BytesMayBeAny) {
  std::string data;
  for (int i = 0; i < 512; ++i) data += static_cast<char>(i);
  const std::string body =
      str_cat("--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n\r\n", data,
              "\r\n--XX--");
  const auto parts = parse_form(kType, body);
  ASSERT_TRUE(parts.ok()) << parts.error().message;
  EXPECT_EQ(parts.value().at(0).data, data);
  EXPECT_EQ(parts.value().at(0).file_name, "file");  // of a nameless file
}

TEST(FormData, WhatIsNoFormIsRefused) {
  const std::string part = "Content-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n";
  std::string many;
  for (int i = 0; i < 65; ++i) many += "--XX\r\n" + part;
  const struct {
    std::string_view type;
    std::string body, problem;
  } cases[] = {
      {"application/json", "{}", "expected a form"},
      {"", "", "got no type"},
      {"multipart/form-data", "", "no boundary"},
      {"multipart/form-data; boundary=", "", "no boundary"},
      {"multipart/form-data; boundary=\"", "", "no boundary"},
      {kType, "", "does not have the boundary"},
      {kType, "--XY\r\n" + part + "--XY--", "does not have the boundary"},
      {kType, "--XX\r\n" + part, "does not end"},
      {kType, "--XX\r\n" + part + "--XX", "something behind a boundary"},
      {kType, "--XX " + part + "--XX--", "something behind a boundary"},
      {kType, "--XX\r\nnothing\r\n--XX--", "headers do not end"},
      {kType, "--XX\r\nnothing\r\n\r\n\r\n--XX--", "no header"},
      {kType, "--XX\r\nContent-Type: x\r\n\r\n\r\n--XX--", "without a name"},
      {kType, "--XX\r\nContent-Disposition: form-data\r\n\r\n\r\n--XX--", "without a name"},
      {kType, "--XX\r\nContent-Disposition: inline; name=a\r\n\r\n\r\n--XX--", "without a name"},
      {kType,
       "--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: x\r\n\r\n--XX--",
       "without a name"},
      {kType, many + "--XX--", "more than 64 parts"},
  };
  for (const auto& [type, body, problem] : cases) {
    const auto parts = parse_form(type, body);
    ASSERT_FALSE(parts.ok()) << body;
    EXPECT_EQ(parts.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(parts.error().message, HasSubstr(problem)) << body;
  }
}

}  // namespace
}  // namespace gemma4::http
