// A header's line and a body as a form: parts lie inside of the body, in order, or it is refused in
// one sentence.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "http/form_data.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  const std::string_view type = input.substr(0, line);
  const std::string_view body = line == input.npos ? "" : input.substr(line + 1);
  const auto parts = gemma4::http::parse_form(type, body);
  if (!parts.ok()) {
    G4_CHECK(!parts.error().message.empty());
    return 0;
  }
  const char* end = body.data();
  for (const gemma4::http::FormPart& part : parts.value()) {
    G4_CHECK(part.data.data() >= end);
    end = part.data.data() + part.data.size();
    G4_CHECK(end <= body.data() + body.size());
  }
  return 0;
}
