#include "http/tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "io/mapped_file.h"

namespace gemma4::http {

namespace asio = boost::asio;
using asio::ssl::context;

namespace {

// The names of protocols that a client offers, each after its length (RFC 7301): ours, if it is
// one of them. Clients that offer others only are answered anyway, as before there were names.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned int size, void*) {
  static constexpr std::string_view kProtocol = "http/1.1";
  for (unsigned int i = 0; i < size && i + 1 + offered[i] <= size; i += 1u + offered[i]) {
    if (offered[i] != kProtocol.size()) continue;
    if (std::memcmp(offered + i + 1, kProtocol.data(), kProtocol.size()) != 0) continue;
    *chosen = offered + i + 1;
    *chosen_size = offered[i];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

Result<TlsFiles::Context> read_context(const TlsOptions& options) {
  G4_ASSIGN_OR_RETURN(const std::string certificate, io::read_file(options.certificate));
  G4_ASSIGN_OR_RETURN(const std::string key, io::read_file(options.key));
  const auto made = std::make_shared<context>(context::tls_server);
  SSL_CTX* const native = made->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);  // of idle connections
  SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
  boost::system::error_code error;
  // Without it OpenSSL asks for the phrase on the terminal.
  made->set_password_callback([](size_t, context::password_purpose) { return std::string(); },
                              error);
  made->use_certificate_chain(asio::buffer(certificate), error);
  if (error)
    return Error{ErrorCode::kInvalidData,
                 str_cat(options.certificate, " is no certificate in PEM: ", error.message())};
  made->use_private_key(asio::buffer(key), context::pem, error);
  const bool is_other =
      ERR_GET_LIB(static_cast<unsigned long>(error.value())) == ERR_LIB_X509 &&
      ERR_GET_REASON(static_cast<unsigned long>(error.value())) == X509_R_KEY_VALUES_MISMATCH;
  ERR_clear_error();
  if (is_other || (!error && SSL_CTX_check_private_key(native) != 1)) {
    ERR_clear_error();
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("the key in ", options.key, " is not that of the certificate in ",
                         options.certificate)};
  }
  if (error)
    return Error{ErrorCode::kInvalidData, str_cat(options.key,
                                                  " is no private key in PEM without "
                                                  "a pass phrase: ",
                                                  error.message())};
  return made;
}

}  // namespace

Result<std::unique_ptr<TlsFiles>> TlsFiles::open(const TlsOptions& options) {
  std::unique_ptr<TlsFiles> files(new TlsFiles(options));
  files->read_at_ = files->changed();
  G4_ASSIGN_OR_RETURN(files->context_, read_context(options));
  return files;
}

TlsFiles::Times TlsFiles::changed() const {
  std::error_code ignored;
  return {std::filesystem::last_write_time(options_.certificate, ignored),
          std::filesystem::last_write_time(options_.key, ignored)};
}

TlsFiles::Context TlsFiles::context() {
  constexpr std::chrono::seconds kBetweenLooks(1);
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_at_ < kBetweenLooks) return context_;
  looked_at_ = now;
  const Times changed_at = changed();
  if (changed_at == read_at_) return context_;
  Result<Context> read = read_context(options_);
  if (read.ok())
    context_ = std::move(read).value();
  else if (options_.on_error)
    options_.on_error(read.error());
  read_at_ = changed_at;
  return context_;
}

}  // namespace gemma4::http
