#include "constrain/schema_path.h"

#include "base/strings.h"

namespace gemma4::constrain {
namespace {

constexpr size_t kLongest = 300;
constexpr std::string_view kCut = "…";

// A step as pointers write it; of a long name, the begin.
std::string escaped_step(std::string_view step) {
  std::string result = "/";
  for (const char c : step) {
    const bool begins_code_point = (static_cast<uint8_t>(c) & 0xC0) != 0x80;
    if (result.size() > kLongest / 2 && begins_code_point) return str_cat(result, kCut);
    if (c == '~') {
      result += "~0";
    } else if (c == '/') {
      result += "~1";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

SchemaPath SchemaPath::operator/(std::string_view step) const {
  SchemaPath result;
  result.last_ = std::make_shared<const Step>(Step{last_, std::string(step)});
  return result;
}

std::string SchemaPath::text() const {
  std::string result;
  for (const Step* step = last_.get(); step != nullptr; step = step->before.get()) {
    if (result.size() > kLongest) return str_cat(kCut, result);
    result = escaped_step(step->name) + result;
  }
  return result;
}

std::string SchemaPath::schema() const { return str_cat("schema at '", text(), "'"); }

}  // namespace gemma4::constrain
