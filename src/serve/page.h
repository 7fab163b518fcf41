// The page at "/" and what it loads. The files are those of src/serve/page, part of the program.
#pragma once

#include <span>
#include <string_view>

#include "http/message.h"

namespace gemma4::serve {

struct PageFile {
  std::string_view name;  // below src/serve/page: "vendor/marked.js"
  std::string_view etag;  // of its bytes, quoted as in the header
  std::string_view body;
};
std::span<const PageFile> page_files();

// "/": the page for browsers (who accept text/html); for all others a line of text, since Ollama's
// clients ask there whether somebody is in. Never the page if `has_page` is false.
http::Response answer_root(const http::Request& request, bool has_page);

// A file of the page, or 304 for who has it. 404 as JSON where there is none of that name.
http::Response answer_page_file(const http::Request& request, std::string_view name);

}  // namespace gemma4::serve
