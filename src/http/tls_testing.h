// Certificates for tests, made when they run, and a client that speaks TLS.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <csignal>
#include <memory>
#include <string>
#include <string_view>

#include "http/client_testing.h"

namespace gemma4::http {

template <auto kFree>
struct FreedBy {
  template <class T>
  void operator()(T* thing) const {
    kFree(thing);
  }
};
template <class T, auto kFree>
using Owned = std::unique_ptr<T, FreedBy<kFree>>;

struct TestCertificate {
  std::string certificate, key;  // PEM
};

// Signed by itself, for an hour. With a pass phrase the key needs it.
inline TestCertificate make_certificate(const std::string& name, std::string phrase = "") {
  const Owned<EVP_PKEY, EVP_PKEY_free> key(EVP_EC_gen("P-256"));
  const Owned<X509, X509_free> certificate(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  X509_sign(certificate.get(), key.get(), EVP_sha256());

  const auto text = [](auto write) {
    const Owned<BIO, BIO_free> memory(BIO_new(BIO_s_mem()));
    write(memory.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    return std::string(data, static_cast<size_t>(size));
  };
  const EVP_CIPHER* const cipher = phrase.empty() ? nullptr : EVP_aes_256_cbc();
  return {text([&](BIO* to) { PEM_write_bio_X509(to, certificate.get()); }), text([&](BIO* to) {
            PEM_write_bio_PrivateKey(to, key.get(), cipher, nullptr, 0, nullptr,
                                     cipher == nullptr ? nullptr : phrase.data());
          })};
}

// Believes any certificate. `only`: the one version of TLS that it speaks; 0: any.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port, int only = 0)
      : connection_(port), context_(SSL_CTX_new(TLS_client_method())) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to whoever has left
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(connection_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (only != 0) {
      SSL_CTX_set_security_level(context_.get(), 0);
      SSL_CTX_set_min_proto_version(context_.get(), only);
      SSL_CTX_set_max_proto_version(context_.get(), only);
    }
    static constexpr unsigned char kProtocols[] = "\x02h2\x08http/1.1";
    SSL_CTX_set_alpn_protos(context_.get(), kProtocols, sizeof kProtocols - 1);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), connection_.fd());
    connected_ = SSL_connect(ssl_.get()) == 1;
  }

  bool connected() const { return connected_; }
  void send(std::string_view text) {
    SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
  }
  // Until `end` has come, or nothing comes any more.
  std::string read_until(std::string_view end) {
    std::string text;
    while (end.empty() || text.find(end) == text.npos) {
      char buffer[4096];
      const int count = SSL_read(ssl_.get(), buffer, sizeof buffer);
      if (count <= 0) break;
      text.append(buffer, static_cast<size_t>(count));
    }
    return text;
  }
  std::string read_all() { return read_until(""); }
  // Whether the server has said that nothing follows.
  bool ended() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
  }
  // Whom the server says it is.
  std::string server_name() const {
    const Owned<X509, X509_free> certificate(SSL_get1_peer_certificate(ssl_.get()));
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name,
                              sizeof name);
    return name;
  }
  void close() { connection_.close(); }

 private:
  TestClient connection_;
  Owned<SSL_CTX, SSL_CTX_free> context_;
  Owned<SSL, SSL_free> ssl_;
  bool connected_ = false;
};

}  // namespace gemma4::http
