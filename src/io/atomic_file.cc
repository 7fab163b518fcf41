#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/strings.h"

namespace gemma4::io {
namespace {
Error write_error(const std::string& path, int error_number) {
  const ErrorCode code = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG
                             ? ErrorCode::kResourceExhausted
                             : ErrorCode::kIo;
  return {code, str_cat("cannot write ", path, ": ", std::strerror(error_number),
                        "; nothing was written")};
}
}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  std::string temporary = path + ".partial-XXXXXX";
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return write_error(path, errno);
  ::fchmod(fd, 0644);  // mkostemp makes the file private; a failure leaves it so
  return AtomicFile(path, temporary, fd);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      written_(other.written_) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  // Large calls are split so that an interrupted process notices its signal soon.
  constexpr size_t kMaxCall = size_t{64} << 20;
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kMaxCall));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return write_error(path_, errno);
    written_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status AtomicFile::commit() {
  if (::fsync(fd_) != 0) return write_error(path_, errno);
  if (::close(std::exchange(fd_, -1)) != 0) return write_error(path_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return write_error(path_, errno);
  temporary_.clear();
  return {};
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return {};
  const int error_number = errno;
  struct stat info {};
  if (error_number == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
    return {};
  return Error{ErrorCode::kIo,
               str_cat("cannot create folder ", path, ": ", std::strerror(error_number))};
}

}  // namespace gemma4::io
