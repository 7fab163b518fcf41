// The certificate and key with which the server proves who it is, inside of src/http.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <utility>

#include "base/result.h"
#include "http/server.h"

namespace gemma4::http {

// PEM files, read again when they change: certificates are renewed while a server runs.
class TlsFiles {
 public:
  using Context = std::shared_ptr<boost::asio::ssl::context>;

  // Errors, which name the file: kNotFound or kInvalidData for what cannot be read or is no PEM,
  // kInvalidArgument for a key of another certificate.
  static Result<std::unique_ptr<TlsFiles>> open(const TlsOptions& options);
  // For a new connection; any thread. If a file has changed both are read again, at most once a
  // second; while they are wrong the old ones are used, and TlsOptions::on_error is told.
  Context context();

 private:
  // When the certificate and the key were changed.
  using Times = std::pair<std::filesystem::file_time_type, std::filesystem::file_time_type>;
  explicit TlsFiles(TlsOptions options) : options_(std::move(options)) {}
  Times changed() const;

  const TlsOptions options_;
  std::mutex mutex_;
  Context context_;
  Times read_at_;
  std::chrono::steady_clock::time_point looked_at_;
};

}  // namespace gemma4::http
