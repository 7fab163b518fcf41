// A file mapped read-only into memory. Pages are read when touched and shared with the page cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace gemma4::io {

class MappedFile {
 public:
  // Maps the whole of `path`. Errors: kNotFound, kIo (also for folders), both naming the path.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  // The file's bytes; empty for an empty file. Valid as long as this object lives.
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Gives back the memory that holds `part` of this file, if it is of this file; what is touched
  // again is read again.
  void forget(std::span<const std::byte> part) const;

 private:
  MappedFile(std::string path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Reads a whole small file (at most `max_bytes`). Errors: kNotFound, kIo, kInvalidData when larger.
Result<std::string> read_file(const std::string& path, size_t max_bytes = size_t{1} << 30);

}  // namespace gemma4::io
