// Uploaded files: what is kept and for how long, the routes, and messages that name them.
#include "base/strings.h"
#include "serve/media_sources.h"
#include "serve/service_testing.h"
#include "serve/upload_store.h"

namespace gemma4::serve {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::HasSubstr;
using Type = chat::ContentPart::Type;

class Uploads : public ::testing::Test {
 protected:
  Result<UploadStore::Found> put(const std::string& owner, size_t bytes, seconds lifetime = {}) {
    return store_.put(owner, {.bytes = std::string(bytes, 'x'), .lifetime = lifetime});
  }
  std::string refusal(const std::string& owner, size_t bytes) {
    const auto kept = put(owner, bytes);
    EXPECT_FALSE(kept.ok());
    return kept.ok() ? "" : kept.error().message;
  }
  UploadStore::Clock::time_point now_ = UploadStore::Clock::now();
  UploadStore store_{
      {.max_bytes = 100, .max_owner_bytes = 60, .max_files = 3, .max_age = hours(24)},
      [this] { return now_; }};
};

TEST_F(Uploads, BelongToWhoSentThem) {
  const auto mine = put("me", 10).value();
  EXPECT_EQ(store_.find("me", mine->id), mine);
  EXPECT_EQ(store_.find("you", mine->id), nullptr);
  EXPECT_TRUE(store_.list("you").empty());
  EXPECT_FALSE(store_.remove("you", mine->id));
  EXPECT_TRUE(store_.remove("me", mine->id));
  EXPECT_FALSE(store_.remove("me", mine->id));
  EXPECT_EQ(store_.find("me", mine->id), nullptr);
  EXPECT_EQ(mine->bytes.size(), 10U);  // who has it keeps it
}

TEST_F(Uploads, WhatDoesNotFitIsRefusedWithNumbers) {
  ASSERT_TRUE(put("me", 50).ok());
  EXPECT_THAT(refusal("me", 11), HasSubstr("your uploads have 50 of 60 bytes"));
  ASSERT_TRUE(put("you", 45).ok());
  EXPECT_THAT(refusal("me", 6), HasSubstr("all uploads have 95 of 100 bytes"));
  ASSERT_TRUE(put("me", 5).ok());
  ASSERT_TRUE(put("me", 0).ok());
  EXPECT_THAT(refusal("me", 0), HasSubstr("there are 3 uploads"));
  for (const auto& upload : store_.list("me")) EXPECT_TRUE(store_.remove("me", upload->id));
  EXPECT_TRUE(put("me", 55).ok());
}

TEST_F(Uploads, ExpireWithWhatTheyHeld) {
  const auto brief = put("me", 30, seconds(60)).value();
  const auto usual = put("me", 30).value();
  const auto long_wanted = put("you", 40, hours(1000)).value();
  EXPECT_EQ(long_wanted->expires_at, now_ + hours(24));
  now_ += seconds(59);
  EXPECT_EQ(store_.list("me").size(), 2U);
  now_ += seconds(1);
  EXPECT_EQ(store_.find("me", brief->id), nullptr);
  EXPECT_EQ(store_.find("me", usual->id), usual);
  EXPECT_TRUE(put("me", 30).ok());
  now_ += hours(24);
  EXPECT_TRUE(store_.list("me").empty());
  EXPECT_TRUE(put("you", 60).ok());
}

TEST(NoUploads, AreTakenWhereNoneMayBeHeld) {
  UploadStore store({.max_bytes = 0});
  const auto kept = store.put("", {.bytes = "x"});
  ASSERT_FALSE(kept.ok());
  EXPECT_THAT(kept.error().message, HasSubstr("--uploads"));
}

// Begins as one does, which decides what it is taken for.
std::string picture() { return std::string("\x89PNG\r\n\x1a\n\0\r\n--X", 14); }

class UploadRoutes : public ServiceTest {
 protected:
  std::shared_ptr<FakeExchange> upload(const std::string& file, const std::string& fields = "",
                                       http::Headers headers = {}) {
    headers.emplace_back("content-type", "multipart/form-data; boundary=XX");
    return send({.method = "POST",
                 .path = "/v1/files",
                 .headers = std::move(headers),
                 .body = str_cat(fields,
                                 "--XX\r\nContent-Disposition: form-data; name=\"file\"; "
                                 "filename=\"a.png\"\r\n\r\n",
                                 file, "\r\n--XX--")});
  }
  static std::string field(const std::string& name, const std::string& value) {
    return str_cat("--XX\r\nContent-Disposition: form-data; name=\"", name, "\"\r\n\r\n", value,
                   "\r\n");
  }
  static json::Value body_of(const std::shared_ptr<FakeExchange>& exchange, int status = 200) {
    EXPECT_EQ(exchange->response.status, status) << exchange->response.body;
    return json::parse(exchange->response.body).value();
  }
};

TEST_F(UploadRoutes, AFileIsListedShownReadAndDeleted) {
  const auto file = body_of(upload(picture(), field("purpose", "vision")));
  const std::string id = text_at(file, "id");
  EXPECT_TRUE(id.starts_with("file-"));
  EXPECT_EQ(text_at(file, "object"), "file");
  EXPECT_EQ(text_at(file, "filename"), "a.png");
  EXPECT_EQ(text_at(file, "purpose"), "vision");
  EXPECT_EQ(at(file, "bytes").as_number().as_int64(), std::ssize(picture()));
  EXPECT_EQ(*at(file, "expires_at").as_number().as_int64(),
            *at(file, "created_at").as_number().as_int64() + 24 * 3600);
  EXPECT_EQ(body_of(get("/v1/files/" + id)), file);
  EXPECT_EQ(get("/v1/files/" + id + "/content")->response.body, picture());

  const auto second = body_of(upload(picture(), field("expires_after[anchor]", "created_at") +
                                                    field("expires_after[seconds]", "60")));
  EXPECT_EQ(text_at(second, "purpose"), "user_data");
  EXPECT_EQ(text_at(body_of(get("/v1/files")), "data.1.id"), id);
  const auto only =
      body_of(send({.method = "GET", .path = "/v1/files", .query = "purpose=vision"}));
  EXPECT_EQ(at(only, "data").as_array().size(), 1U);
  EXPECT_EQ(text_at(only, "data.0.id"), id);

  const auto removed = body_of(send({.method = "DELETE", .path = "/v1/files/" + id}));
  EXPECT_EQ(json::dump(removed), str_cat(R"({"id":")", id, R"(","object":"file","deleted":true})"));
  for (const char* end : {"", "/content"})
    EXPECT_EQ(get(str_cat("/v1/files/", id, end))->response.status, 404);
  EXPECT_EQ(send({.method = "DELETE", .path = "/v1/files/" + id})->response.status, 404);
}

TEST_F(UploadRoutes, AnthropicHasItsOwnWords) {
  const http::Headers version = {{"anthropic-version", "2023-06-01"}};
  const auto file = body_of(upload(picture(), "", version));
  const std::string id = text_at(file, "id");
  EXPECT_EQ(text_at(file, "type"), "file");
  EXPECT_EQ(text_at(file, "mime_type"), "image/png");
  EXPECT_THAT(text_at(file, "created_at"), ::testing::EndsWith("Z"));
  const auto removed =
      body_of(send({.method = "DELETE", .path = "/v1/files/" + id, .headers = version}));
  EXPECT_EQ(text_at(removed, "type"), "file_deleted");
  const auto gone =
      body_of(send({.method = "GET", .path = "/v1/files/" + id, .headers = version}), 404);
  EXPECT_EQ(text_at(gone, "error.type"), "not_found_error");
}

TEST_F(UploadRoutes, WhatIsNoMediumOrNoFormIsRefusedByName) {
  const auto message = [](const std::shared_ptr<FakeExchange>& exchange) {
    return text_at(body_of(exchange, 400), "error.message");
  };
  EXPECT_THAT(message(upload("some text")), HasSubstr("file: this server takes pictures"));
  EXPECT_THAT(message(upload("")), HasSubstr("file: this server takes pictures"));
  EXPECT_THAT(message(upload(picture(), field("purpose", "batch"))), HasSubstr("purpose"));
  EXPECT_THAT(message(upload(picture(), field("expires_after[seconds]", "-1"))),
              HasSubstr("expires_after[seconds]"));
  EXPECT_THAT(message(upload(picture(), field("fine", "x"))), HasSubstr("fine"));
  EXPECT_THAT(message(post("/v1/files", "{}")), HasSubstr("multipart/form-data"));
}

// The picture that a message names, as the service opens it.
class MediaSources : public ::testing::Test {
 protected:
  static std::vector<chat::Message> naming(Type type, const std::string& source) {
    return {{.role = "system", .content = "s"},
            {.role = "user",
             .content =
                 std::vector<chat::ContentPart>{{.text = "t"}, {.type = type, .source = source}}}};
  }
  chat::ContentPart open(Type type, const std::string& source) {
    auto messages = naming(type, source);
    const Status status = open_sources(messages, "me", store_, nullptr);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return std::get<std::vector<chat::ContentPart>>(messages[1].content)[1];
  }
  std::string refusal(Type type, const std::string& source, const std::string& owner = "me") {
    auto messages = naming(type, source);
    const Status status = open_sources(messages, owner, store_, nullptr);
    EXPECT_FALSE(status.ok());
    return status.ok() ? "" : status.error().message;
  }
  UploadStore store_{{}};
};

TEST_F(MediaSources, BecomeDataUrlsOfTheirKind) {
  const auto upload = store_.put("me", {.bytes = "abc", .kind = Type::kAudio}).value();
  const std::string url = "data:application/octet-stream;base64,YWJj";
  const std::string source = chat::uploaded(upload->id);
  EXPECT_EQ(open(Type::kFile, source), (chat::ContentPart{.type = Type::kAudio, .source = url}));
  EXPECT_EQ(open(Type::kImage, source).type, Type::kImage);  // its decoder will say no
  EXPECT_EQ(open(Type::kImage, "data:,x").source, "data:,x");
  EXPECT_THAT(refusal(Type::kFile, source, "you"),
              HasSubstr("messages[1].content[1]: there is no file"));
  EXPECT_THAT(refusal(Type::kFile, "data:,x"), HasSubstr("messages[1].content[1]"));
  for (const char* elsewhere : {"http://127.0.0.1/a.png", "/etc/passwd", "file:///etc/passwd", ""})
    EXPECT_THAT(refusal(Type::kImage, elsewhere), HasSubstr("no addresses")) << elsewhere;
}

}  // namespace
}  // namespace gemma4::serve
