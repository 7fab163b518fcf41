#include "serve/media_sources.h"

#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "base/base64.h"
#include "base/strings.h"
#include "media/data_url.h"
#include "media/image.h"
#include "media/video.h"

namespace gemma4::serve {

using chat::ContentPart;
using Type = ContentPart::Type;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string data_url(std::string_view bytes) {
  return "data:application/octet-stream;base64," + base64(bytes);
}

bool is_medium(const ContentPart& part) {
  return part.type == Type::kImage || part.type == Type::kAudio || part.type == Type::kVideo ||
         part.type == Type::kFile;
}

class SourceOpener {
 public:
  SourceOpener(const std::string& owner, UploadStore& uploads, const http::RemoteFiles* remote)
      : owner_(owner), uploads_(uploads), remote_(remote) {
    if (remote_ != nullptr) end_ = remote_->time_of_request();
  }

  Status open(ContentPart& part) {
    if (media::is_data_url(part.source)) return open_inline(part);
    if (part.source.starts_with(chat::kUploaded)) return open_upload(part);
    if (remote_ == nullptr)
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("expected a data URL (data:image/png;base64,...) or an uploaded file; "
                           "this server opens no files of its own and no addresses, got ",
                           quote(part.source))};
    const auto bytes = remote_->get(part.source, end_);
    if (!bytes.ok()) return bytes.error().with_context(quote(part.source));
    return take(part, bytes.value(), part.source);
  }

 private:
  static Status open_inline(ContentPart& part) {
    if (part.type != Type::kFile) return {};
    G4_ASSIGN_OR_RETURN(const auto file, media::parse_data_url(part.source, part.source.size()));
    const std::string_view bytes(reinterpret_cast<const char*>(file.bytes.data()),
                                 file.bytes.size());
    G4_ASSIGN_OR_RETURN(part.type, kind_of_file(bytes));
    return {};
  }
  Status open_upload(ContentPart& part) {
    const std::string id = part.source.substr(chat::kUploaded.size());
    const auto upload = uploads_.find(owner_, id);
    if (upload == nullptr)
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("there is no file ", quote(id), " here (any more); upload it again")};
    if (part.type == Type::kFile) part.type = upload->kind;
    part.source = data_url(upload->bytes);
    return {};
  }
  static Status take(ContentPart& part, const std::string& bytes, const std::string& name) {
    if (part.type == Type::kFile) {
      G4_ASSIGN_OR_RETURN(part.type, kind_of_file(bytes, name));
    }
    part.source = data_url(bytes);
    return {};
  }

  const std::string& owner_;
  UploadStore& uploads_;
  const http::RemoteFiles* const remote_;
  http::RemoteFiles::Time end_;  // of all addresses together
};

}  // namespace

Result<Type> kind_of_file(std::string_view bytes, const std::string& name) {
  if (!media::image_media_type(bytes_of(bytes)).empty()) return Type::kImage;
  G4_ASSIGN_OR_RETURN(const bool is_film, media::has_moving_pictures(bytes_of(bytes), name));
  return is_film ? Type::kVideo : Type::kAudio;
}

Status open_sources(std::vector<chat::Message>& messages, const std::string& owner,
                    UploadStore& uploads, const http::RemoteFiles* remote) {
  SourceOpener opener(owner, uploads, remote);
  for (size_t m = 0; m < messages.size(); ++m) {
    auto* const parts = std::get_if<std::vector<ContentPart>>(&messages[m].content);
    if (parts == nullptr) continue;
    for (size_t i = 0; i < parts->size(); ++i) {
      if (!is_medium((*parts)[i])) continue;
      const Status opened = opener.open((*parts)[i]);
      if (!opened.ok())
        return opened.error().with_context(str_cat("messages[", m, "].content[", i, "]"));
    }
  }
  return {};
}

}  // namespace gemma4::serve
