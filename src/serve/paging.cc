#include "serve/paging.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/strings.h"
#include "serve/fields.h"

namespace gemma4::serve {

using json::Value;

Value query_object(std::string_view query) {
  Value object = Value::Object();
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    object.set(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return object;
}

Result<Value> page_of(Value::Array items, const std::string& query, const PageRules& rules) {
  const Value object = query_object(query);
  Fields fields(object);
  const auto order = fields.word("order", {"asc", "desc"});
  auto after = fields.text("after");
  if (const auto id = fields.text("after_id"); id && !after) after = id;
  const std::string limit_text = fields.text("limit").value_or(std::to_string(rules.default_limit));
  fields.ignore({"include", "include[]", rules.also_read});
  int64_t limit = 0;
  const auto [end, error] =
      std::from_chars(limit_text.data(), limit_text.data() + limit_text.size(), limit);
  if (error != std::errc() || end != limit_text.data() + limit_text.size() || limit < 1 ||
      limit > rules.max_limit)
    fields.fail("limit", str_cat("expected a whole number from 1 to ", rules.max_limit));
  G4_RETURN_IF_ERROR(fields.finish());
  if (order != "asc") std::reverse(items.begin(), items.end());
  const auto id_of = [](const Value& item) { return item.find("id")->as_string(); };
  if (after) {
    const auto found = std::find_if(items.begin(), items.end(),
                                    [&](const Value& item) { return id_of(item) == *after; });
    if (found == items.end())
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("after: no item has the id ", quote(*after))};
    items.erase(items.begin(), found + 1);
  }
  const bool has_more = items.size() > static_cast<size_t>(limit);
  if (has_more) items.resize(static_cast<size_t>(limit));
  const Value first = items.empty() ? Value() : Value(id_of(items.front()));
  const Value last = items.empty() ? Value() : Value(id_of(items.back()));
  return Value(Value::Object{{"object", "list"},
                             {"data", std::move(items)},
                             {"first_id", first},
                             {"last_id", last},
                             {"has_more", has_more}});
}

}  // namespace gemma4::serve
