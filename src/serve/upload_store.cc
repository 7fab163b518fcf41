#include "serve/upload_store.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "serve/random_id.h"

namespace gemma4::serve {

Result<UploadStore::Found> UploadStore::put(const std::string& owner, Upload upload) {
  if (limits_.max_bytes == 0)
    return Error{ErrorCode::kUnsupported, "this server takes no uploads (--uploads)"};
  const std::lock_guard lock(mutex_);
  drop_old();
  const size_t size = upload.bytes.size();
  Owner& own = owners_[owner];
  const auto full = [&](std::string_view whose, size_t held, size_t most) {
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("file: of ", size, " bytes there is no room: ", whose, " uploads have ",
                         held, " of ", most, " bytes; delete files, or wait until they expire")};
  };
  if (size > limits_.max_owner_bytes - own.bytes)
    return full("your", own.bytes, limits_.max_owner_bytes);
  if (size > limits_.max_bytes - bytes_) return full("all", bytes_, limits_.max_bytes);
  if (own.files.size() >= limits_.max_files)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat("file: there are ", own.files.size(), " uploads; delete some")};
  const auto lifetime =
      upload.lifetime.count() > 0 ? std::min(upload.lifetime, limits_.max_age) : limits_.max_age;
  upload.id = "file-" + random_id();
  upload.created_at = now_();
  upload.expires_at = upload.created_at + lifetime;
  own.bytes += size;
  bytes_ += size;
  own.files.push_back(std::make_shared<const Upload>(std::move(upload)));
  return own.files.back();
}

UploadStore::Found UploadStore::find(const std::string& owner, const std::string& id) {
  for (Found& upload : list(owner))
    if (upload->id == id) return std::move(upload);
  return nullptr;
}

bool UploadStore::remove(const std::string& owner, const std::string& id) {
  const std::lock_guard lock(mutex_);
  drop_old();
  const auto own = owners_.find(owner);
  if (own == owners_.end()) return false;
  const auto file = std::ranges::find(own->second.files, id, &Upload::id);
  if (file == own->second.files.end()) return false;
  erase(own->second, file);
  return true;
}

std::vector<UploadStore::Found> UploadStore::list(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  drop_old();
  const auto own = owners_.find(owner);
  return own == owners_.end() ? std::vector<Found>() : own->second.files;
}

void UploadStore::drop_old() {
  const auto now = now_();
  for (auto& [name, own] : owners_)
    for (size_t i = own.files.size(); i-- > 0;)
      if (own.files[i]->expires_at <= now)
        erase(own, own.files.begin() + static_cast<std::ptrdiff_t>(i));
  std::erase_if(owners_, [](const auto& owner) { return owner.second.files.empty(); });
}

void UploadStore::erase(Owner& owner, std::vector<Found>::iterator file) {
  owner.bytes -= (*file)->bytes.size();
  bytes_ -= (*file)->bytes.size();
  owner.files.erase(file);
}

}  // namespace gemma4::serve
