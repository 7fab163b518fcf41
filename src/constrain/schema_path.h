// Where a schema stands in its document: a JSON pointer, kept as a list of steps. Schemas inside of
// one another share it, so that long names that are nested deep do not take memory for each level.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace gemma4::constrain {

class SchemaPath {
 public:
  SchemaPath() = default;  // the document itself
  // One step further.
  SchemaPath operator/(std::string_view step) const;
  // For messages: where the pointer is very long, its end.
  std::string text() const;
  // "schema at '/path'"
  std::string schema() const;

 private:
  struct Step {
    std::shared_ptr<const Step> before;
    std::string name;
  };
  std::shared_ptr<const Step> last_;
};

}  // namespace gemma4::constrain
