// Bodies of forms with files: multipart/form-data (RFC 7578).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gemma4::http {

struct FormPart {
  std::string name;
  std::string file_name;  // as the client says; empty where the part is no file
  std::string_view data;  // inside of the body
};

// The parts in their order. `content_type` is the header, with the boundary. kInvalidArgument says
// what is wrong: another type, no boundary, a part without a name or an end, more than 64 parts.
Result<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body);

}  // namespace gemma4::http
