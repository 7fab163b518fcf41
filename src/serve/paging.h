// Lists that clients read in pages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/json.h"

namespace gemma4::serve {

// "a=1&b=2" as an object of strings. Ids and numbers have nothing that needs to be escaped.
json::Value query_object(std::string_view query);

struct PageRules {
  int64_t default_limit = 20;
  int64_t max_limit = 100;
  std::string_view also_read = {};  // a member of the query that the caller looks at
};

// One page of `items`, the oldest first, each an object with an "id", as the query asks: limit,
// after (or after_id) and order, "desc" by default. kInvalidArgument names what is wrong.
Result<json::Value> page_of(json::Value::Array items, const std::string& query,
                            const PageRules& rules = {});

}  // namespace gemma4::serve
