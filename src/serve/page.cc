#include "serve/page.h"

#include <algorithm>
#include <string>

#include "base/strings.h"
#include "serve/protocol.h"

namespace gemma4::serve {
namespace {

// What a model writes ends up in this page. Should it ever get past the renderer, which makes
// nodes and no markup, then no script but ours runs, nothing is loaded from or sent to elsewhere,
// and no string becomes markup.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

std::string type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "text/plain; charset=utf-8";
}

// Whether an If-None-Match names the file that we have.
bool has_it(const http::Request& request, const PageFile& file) {
  const std::string_view known = request.header("if-none-match");
  return known == "*" || known.find(file.etag) != known.npos;
}

http::Response answer_file(const http::Request& request, const PageFile& file) {
  http::Response response{.content_type = type_of(file.name)};
  if (has_it(request, file))
    response.status = 304;
  else
    response.body = file.body;
  response.headers = {{"ETag", std::string(file.etag)},
                      {"Cache-Control", "no-cache"},  // ask whether it is still the same
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (file.name.ends_with(".html")) {
    response.headers.emplace_back("Content-Security-Policy", kPolicy);
    response.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
    response.headers.emplace_back("Permissions-Policy",
                                  "microphone=(self), camera=(), geolocation=()");
    response.headers.emplace_back("Vary", "Accept");
  }
  return response;
}

const PageFile* find_file(std::string_view name) {
  const auto files = page_files();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const PageFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

http::Response answer_root(const http::Request& request, bool has_page) {
  const PageFile* page = has_page ? find_file("index.html") : nullptr;
  if (page != nullptr && request.header("accept").find("text/html") != std::string_view::npos)
    return answer_file(request, *page);
  http::Response response{.body = "gemma4 is running\n",
                          .content_type = "text/plain; charset=utf-8"};
  if (page != nullptr) response.headers.emplace_back("Vary", "Accept");
  return response;
}

http::Response answer_page_file(const http::Request& request, std::string_view name) {
  const PageFile* file = find_file(name);
  if (file != nullptr) return answer_file(request, *file);
  return error_response(Protocol::kOpenAi,
                        {404, str_cat("the page has no file ", quote(std::string(name)))});
}

}  // namespace gemma4::serve
