// Finds what references in schemas name: $id, $anchor, JSON pointers.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "constrain/schema_path.h"
#include "json/json.h"

namespace gemma4::constrain {

// Where a schema stands.
struct SchemaPlace {
  const json::Value* value = nullptr;
  SchemaPath path;   // in its document
  std::string base;  // URI that its references are relative to
};

class SchemaIndex {
 public:
  // Takes in a document and all schemas inside it.
  void add(const json::Value& document, const std::string& uri);
  // What `reference` names as seen from `base`; null value if nothing.
  SchemaPlace find(const std::string& base, const std::string& reference);
  // How many schemas have that $dynamicAnchor.
  int count_dynamic(const std::string& name) const;

 private:
  const json::Value* child(const json::Value& value, const std::string& step);
  void scan(const json::Value& schema, const SchemaPath& path, std::string base, int depth);
  void scan_members(const json::Value& schema, const SchemaPath& path, const std::string& base,
                    int depth);

  std::map<std::string, SchemaPlace> places_;  // by URI, with #anchor
  std::map<std::string, int> dynamic_;
  using Members = std::unordered_map<std::string_view, const json::Value*>;
  std::unordered_map<const json::Value*, Members> members_;  // of objects that pointers go through
};

// The base URI inside of `schema`, which may set its own.
std::string base_inside(const json::Value& schema, const std::string& base);

}  // namespace gemma4::constrain
