// A file that appears whole or not at all: written beside its final place, then renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gemma4::io {

class AtomicFile {
 public:
  // Opens a temporary file in the folder of `path`. Errors: kIo with the reason.
  static Result<AtomicFile> create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) = delete;
  // Without commit() the temporary file is removed and `path` is untouched.
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  // Flushes to disk and renames. A full disk is reported here or by write().
  Status commit();
  uint64_t bytes_written() const { return written_; }

 private:
  AtomicFile(std::string path, std::string temporary, int fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}
  std::string path_;
  std::string temporary_;
  int fd_ = -1;
  uint64_t written_ = 0;
};

// Creates the folder `path` (its parent must exist). Errors: kIo; an existing folder is fine.
Status make_folder(const std::string& path);

}  // namespace gemma4::io
