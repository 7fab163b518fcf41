#include "chat/tool_declaration.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "chat/value_text.h"
#include "text/letter_case.h"

namespace gemma4::chat {
namespace {

using json::Value;

Error expected(std::string_view where, std::string_view what) {
  return {ErrorCode::kInvalidArgument, str_cat(where, ": expected ", what)};
}

// The error of a member of `path`.
Error within(std::string_view path, const Error& error) {
  return {error.code, str_cat(path, ".", error.message)};
}

std::string upper_text(const Value* value) { return text::to_upper(python_text(value)); }

void add_upper_type(PromptBuilder& out, const Value* type) {
  out.add_template("type:");
  out.add_quoted(upper_text(type));
}

// required:["a","b"] with every element as text.
Status add_required(PromptBuilder& out, const Value& required) {
  if (!required.is_array()) return expected("required", "a list of names");
  out.add_template("required:[");
  bool first = true;
  for (const Value& name : required.as_array()) {
    if (!std::exchange(first, false)) out.add_template(",");
    out.add_quoted(python_text(&name));
  }
  out.add_template("]");
  return {};
}

enum class Members {
  kAll,
  kNoKeywords,  // without those that every schema may have
};
Status add_properties(PromptBuilder& out, const Value& properties, Members members);

// The element type of a list. Every member is written, nested schemas as plain values.
Status add_items(PromptBuilder& out, const Value& items) {
  out.add_template("items:{");
  bool first = true;
  for (const Value::Member* member : sorted_members(items)) {
    const auto& [name, value] = *member;
    if (value.is_null()) continue;
    if (!std::exchange(first, false)) out.add_template(",");
    if (name == "properties") {
      out.add_template("properties:{");
      if (value.is_object()) {
        if (Status status = add_properties(out, value, Members::kAll); !status.ok())
          return within("items", status.error());
      }
      out.add_template("}");
    } else if (name == "required") {
      if (Status status = add_required(out, value); !status.ok())
        return within("items", status.error());
    } else if (name == "type") {
      out.add_template("type:");
      if (value.is_array()) {
        Value::Array types;
        for (const Value& type : value.as_array()) types.emplace_back(upper_text(&type));
        add_value(out, types, Keys::kQuoted);
      } else if (value.is_string()) {
        out.add_quoted(upper_text(&value));
      } else {
        return expected("items.type", "a string or a list of strings");
      }
    } else {
      out.add_request(name);
      out.add_template(":");
      add_value(out, value, Keys::kQuoted);
    }
  }
  out.add_template("}");
  return {};
}

bool is_schema_keyword(std::string_view name) {
  constexpr std::array<std::string_view, 5> kKeywords = {"description", "type", "properties",
                                                         "required", "nullable"};
  return std::find(kKeywords.begin(), kKeywords.end(), name) != kKeywords.end();
}

// What is between the braces of one property. Its fields all end with a comma but the type, which
// comes last and always.
Status add_property(PromptBuilder& out, const Value& schema) {
  if (const Value* description = schema.find("description"); is_truthy(description)) {
    out.add_template("description:");
    out.add_quoted(python_text(description));
    out.add_template(",");
  }
  const std::string type = upper_text(schema.find("type"));
  if (type == "STRING") {
    if (const Value* values = schema.find("enum"); is_truthy(values)) {
      out.add_template("enum:");
      add_value(out, *values, Keys::kQuoted);
      out.add_template(",");
    }
  } else if (type == "ARRAY") {
    const Value* items = schema.find("items");
    if (items != nullptr && items->is_object() && is_truthy(items)) {
      G4_RETURN_IF_ERROR(add_items(out, *items));
      out.add_template(",");
    }
  }
  if (is_truthy(schema.find("nullable"))) out.add_template("nullable:true,");
  if (type == "OBJECT") {
    out.add_template("properties:{");
    if (const Value* inner = schema.find("properties"); inner != nullptr && inner->is_object()) {
      G4_RETURN_IF_ERROR(add_properties(out, *inner, Members::kAll));
    } else {
      // The template takes the schema's own members for properties.
      G4_RETURN_IF_ERROR(add_properties(out, schema, Members::kNoKeywords));
    }
    out.add_template("},");
    if (const Value* required = schema.find("required"); is_truthy(required)) {
      G4_RETURN_IF_ERROR(add_required(out, *required));
      out.add_template(",");
    }
  }
  add_upper_type(out, schema.find("type"));
  return {};
}

Status add_properties(PromptBuilder& out, const Value& properties, Members members) {
  bool first = true;
  for (const Value::Member* member : sorted_members(properties)) {
    if (members == Members::kNoKeywords && is_schema_keyword(member->first)) continue;
    if (!std::exchange(first, false)) out.add_template(",");
    out.add_request(member->first);
    out.add_template(":{");
    if (Status status = add_property(out, member->second); !status.ok())
      return within(str_cat("properties[", quote(member->first), "]"), status.error());
    out.add_template("}");
  }
  return {};
}

Status add_parameters(PromptBuilder& out, const Value& parameters) {
  out.add_template(",parameters:{");
  if (const Value* properties = parameters.find("properties"); is_truthy(properties)) {
    if (!properties->is_object()) return expected("properties", "an object");
    out.add_template("properties:{");
    G4_RETURN_IF_ERROR(add_properties(out, *properties, Members::kAll));
    out.add_template("},");
  }
  if (const Value* required = parameters.find("required"); is_truthy(required)) {
    G4_RETURN_IF_ERROR(add_required(out, *required));
    out.add_template(",");
  }
  if (const Value* type = parameters.find("type"); is_truthy(type)) {
    add_upper_type(out, type);
    out.add_template("}");
  }
  return {};
}

void add_response(PromptBuilder& out, const Value& response) {
  out.add_template(",response:{");
  if (const Value* description = response.find("description"); is_truthy(description)) {
    out.add_template("description:");
    out.add_quoted(python_text(description));
    out.add_template(",");
  }
  const Value* type = response.find("type");
  if (upper_text(type) == "OBJECT") {
    add_upper_type(out, type);
    out.add_template("}");
  }
}

}  // namespace

Status add_declaration(PromptBuilder& out, const Value& tool) {
  const Value* function = tool.find("function");
  if (function == nullptr || !function->is_object()) return expected("function", "an object");
  const Value* name = function->find("name");
  if (name == nullptr || !name->is_string()) return expected("function.name", "a string");

  out.add_template("<|tool>declaration:");
  out.add_request(name->as_string());
  out.add_template("{description:");
  out.add_quoted(python_text(function->find("description")));
  if (const Value* parameters = function->find("parameters"); is_truthy(parameters)) {
    if (!parameters->is_object()) return expected("function.parameters", "an object");
    if (Status status = add_parameters(out, *parameters); !status.ok())
      return within("function.parameters", status.error());
  }
  if (const Value* response = function->find("response")) add_response(out, *response);
  out.add_template("}<tool|>");
  return {};
}

}  // namespace gemma4::chat
