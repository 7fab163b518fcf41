#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/strings.h"

namespace gemma4::io {
namespace {

struct OpenFile {
  int fd = -1;
  size_t size = 0;
  OpenFile() = default;
  OpenFile(OpenFile&& other) noexcept : fd(std::exchange(other.fd, -1)), size(other.size) {}
  OpenFile(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
};

Error os_error(const std::string& path, int error_number) {
  const ErrorCode code =
      error_number == ENOENT || error_number == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
  return {code, str_cat(path, ": ", std::strerror(error_number))};
}

Result<OpenFile> open_regular(const std::string& path) {
  OpenFile file;
  file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not block
  if (file.fd < 0) return os_error(path, errno);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return os_error(path, errno);
  if (S_ISDIR(info.st_mode)) return Error{ErrorCode::kIo, path + ": is a folder, expected a file"};
  if (!S_ISREG(info.st_mode)) return Error{ErrorCode::kIo, path + ": is not a regular file"};
  file.size = static_cast<size_t>(info.st_size);
  return file;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  G4_ASSIGN_OR_RETURN(const OpenFile file, open_regular(path));
  if (file.size == 0) return MappedFile(path, nullptr, 0);
  void* data = ::mmap(nullptr, file.size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) return os_error(path, errno);
  return MappedFile(path, static_cast<const std::byte*>(data), file.size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::forget(std::span<const std::byte> part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (part.data() < data_ || part.data() + part.size() > data_ + size_ || begin >= end) return;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT: an address
}

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  G4_ASSIGN_OR_RETURN(const OpenFile file, open_regular(path));
  if (file.size > max_bytes)
    return Error{ErrorCode::kInvalidData,
                 str_cat(path, ": has ", file.size, " bytes, more than the ", max_bytes,
                         " that such a file may have")};
  std::string text(file.size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(file.fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error(path, errno);
    if (n == 0) break;  // the file shrank while we read it
    done += static_cast<size_t>(n);
  }
  text.resize(done);
  return text;
}

}  // namespace gemma4::io
