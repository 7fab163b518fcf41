// The members of one JSON object of a request: asked for by name and type, and none passed over.
//
//   Fields fields(body);
//   request.model = fields.text("model").value_or("");
//   request.seed = fields.integer("seed");
//   fields.ignore({"user"});
//   G4_RETURN_IF_ERROR(fields.finish());
//
// The first error is kept and later questions are answered as if nothing were there, so that a
// request is read in one go. Members that are null count as absent.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/sampler.h"
#include "json/json.h"

namespace gemma4::serve {

class Fields {
 public:
  // `path` stands before names in messages: "stream_options"; empty for a whole body. `object` must
  // outlive this.
  explicit Fields(const json::Value& object, std::string path = "");

  const json::Value* any(std::string_view name);
  const json::Value* object(std::string_view name);
  const json::Value* list(std::string_view name);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> text(std::string_view name);
  std::optional<int64_t> integer(std::string_view name,
                                 int64_t low = std::numeric_limits<int64_t>::min(),
                                 int64_t high = std::numeric_limits<int64_t>::max());
  std::optional<float> number(std::string_view name, const engine::Range& range);
  // One of `words`.
  std::optional<std::string> word(std::string_view name,
                                  std::initializer_list<std::string_view> words);
  // A string or a list of them.
  std::vector<std::string> texts(std::string_view name);

  // What changes no answer here: any value passes.
  void ignore(std::initializer_list<std::string_view> names);
  // What would change the answer and cannot be done: refused by name, unless its value asks for
  // nothing (null, false, 0, "", [], {}, or `neutral`).
  void refuse(std::initializer_list<std::string_view> names, std::string_view neutral = "");

  void fail(std::string_view name, std::string_view problem);
  void fail(Error error);
  bool ok() const { return !error_; }
  // The first error; members nobody asked for are one.
  Status finish();

 private:
  std::string full(std::string_view name) const;

  const json::Value& object_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
  std::optional<Error> error_;
};

// "temperature" of "temperature: must be …": messages begin with the field that is wrong. Empty
// when they do not.
std::string field_of(std::string_view message);

}  // namespace gemma4::serve
