// /v1/files: media that are uploaded once and named in requests, in OpenAI's words and Anthropic's.
#include <charconv>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "http/form_data.h"
#include "media/image.h"
#include "serve/fields.h"
#include "serve/media_sources.h"
#include "serve/paging.h"
#include "serve/service_call.h"

namespace gemma4::serve {

using json::Value;

namespace {

constexpr std::string_view kContent = "/content";
constexpr PageRules kPages{.default_limit = 1000, .max_limit = 10000, .also_read = "purpose"};

ApiError no_file(const std::string& id) {
  return {404, str_cat("there is no file ", quote(id), " here (any more)"), "file_not_found"};
}

int64_t seconds(UploadStore::Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

// Of sounds and films only the kind is known before they are decoded.
std::string media_type(const Upload& upload) {
  switch (upload.kind) {
    case chat::ContentPart::Type::kAudio:
      return "audio/*";
    case chat::ContentPart::Type::kVideo:
      return "video/*";
    default:
      return std::string(media::image_media_type(std::as_bytes(std::span(upload.bytes))));
  }
}

Value described(const Upload& upload, Protocol protocol) {
  const auto bytes = static_cast<int64_t>(upload.bytes.size());
  if (protocol == Protocol::kAnthropic)
    return Value::Object{
        {"id", upload.id},         {"type", "file"},
        {"filename", upload.name}, {"mime_type", media_type(upload)},
        {"size_bytes", bytes},     {"created_at", time_text(seconds(upload.created_at))},
        {"downloadable", true}};
  return Value::Object{{"id", upload.id},
                       {"object", "file"},
                       {"bytes", bytes},
                       {"created_at", seconds(upload.created_at)},
                       {"expires_at", seconds(upload.expires_at)},
                       {"filename", upload.name},
                       {"purpose", upload.purpose},
                       {"status", "processed"}};
}

// What a form says, as an upload. Its kind is that of its bytes.
Result<Upload> read_upload(const http::Request& head, const std::string& body) {
  G4_ASSIGN_OR_RETURN(const auto parts, http::parse_form(head.header("content-type"), body));
  Value values = Value::Object();
  const http::FormPart* file = nullptr;
  for (const http::FormPart& part : parts) {
    if (part.name == "file") file = &part;
    if (part.name != "file") values.set(part.name, std::string(part.data));
  }
  Fields fields(values);
  Upload upload;
  upload.purpose =
      fields.word("purpose", {"vision", "user_data", "assistants"}).value_or("user_data");
  fields.word("expires_after[anchor]", {"created_at"});
  if (const auto text = fields.text("expires_after[seconds]")) {
    int64_t count = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), count);
    if (error != std::errc() || end != text->data() + text->size() || count < 1)
      fields.fail("expires_after[seconds]", "expected a whole number above 0");
    upload.lifetime = std::chrono::seconds(count);
  }
  G4_RETURN_IF_ERROR(fields.finish());
  if (file == nullptr)
    return Error{ErrorCode::kInvalidArgument, "file: the form has no file of this name"};
  const auto kind = kind_of_file(file->data, file->file_name);
  if (!kind.ok())
    return kind.error().with_context("file: this server takes pictures, sounds and films");
  upload.kind = kind.value();
  upload.name = file->file_name;
  upload.bytes = file->data;
  return upload;
}

}  // namespace

void Service::add_uploads() {
  add("POST", "/v1/files", [this](const std::shared_ptr<Call>& call) { take_upload(call); });
  add("GET", "/v1/files", [this](const std::shared_ptr<Call>& call) { list_uploads(call); });
  add("GET", "/v1/files/{id}", [this](const std::shared_ptr<Call>& call) { show_upload(call); });
  add("DELETE", "/v1/files/{id}",
      [this](const std::shared_ptr<Call>& call) { delete_upload(call); });
}

void Service::take_upload(const std::shared_ptr<Call>& call) {
  auto upload = read_upload(call->exchange->request(), call->exchange->take_body());
  if (!upload.ok()) return call->fail(upload.error());
  const auto kept = uploads_.put(owner_of(*call), std::move(upload).value());
  if (!kept.ok()) return call->fail(kept.error());
  call->reply(described(*kept.value(), call->protocol));
}

void Service::list_uploads(const std::shared_ptr<Call>& call) {
  const std::string& query = call->exchange->request().query;
  const Value asked = query_object(query);
  const Value* const purpose = asked.find("purpose");
  Value::Array items;
  for (const auto& upload : uploads_.list(owner_of(*call)))
    if (purpose == nullptr || *purpose == Value(upload->purpose))
      items.push_back(described(*upload, call->protocol));
  const auto page = page_of(std::move(items), query, kPages);
  if (!page.ok()) return call->fail(page.error());
  call->reply(page.value());
}

void Service::show_upload(const std::shared_ptr<Call>& call) {
  std::string id = call->parameter;
  const bool wants_content = id.ends_with(kContent);
  if (wants_content) id.resize(id.size() - kContent.size());
  const auto upload = uploads_.find(owner_of(*call), id);
  if (upload == nullptr) return call->fail(no_file(id));
  if (wants_content)
    return call->reply(http::Response{.body = upload->bytes,
                                      .content_type = "application/octet-stream",
                                      .headers = {{"X-Content-Type-Options", "nosniff"}}});
  call->reply(described(*upload, call->protocol));
}

void Service::delete_upload(const std::shared_ptr<Call>& call) {
  if (!uploads_.remove(owner_of(*call), call->parameter))
    return call->fail(no_file(call->parameter));
  if (call->protocol == Protocol::kAnthropic)
    return call->reply(Value::Object{{"id", call->parameter}, {"type", "file_deleted"}});
  call->reply(Value::Object{{"id", call->parameter}, {"object", "file"}, {"deleted", true}});
}

}  // namespace gemma4::serve
