// Names that stand for models: which one answers, rules decide by the request. A file says them:
//
//   {"auto": [{"model": "small", "max_characters": 2000, "media": false, "tools": false},
//             {"model": "large", "max_waiting": 16},
//             {"endpoint": "https://llm.example.org/v1", "model": "gemma-4-31b-it",
//              "key_file": "/etc/gemma4/upstream-key"}],
//    "gpt-4o": [{"model": "large"}]}
//
// The first rule that a request fits decides. See docs/adr/0053-routes.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/chat_request.h"

namespace gemma4::serve {

// What rules look at.
struct RequestShape {
  int64_t characters = 0;  // bytes of text in all messages and prompts
  int64_t messages = 0;
  bool media = false, tools = false, schema = false, thinking = false;
};
RequestShape shape_of(const ChatRequest& request);

struct RouteRule {
  std::string model;     // of this server, or of the endpoint
  std::string endpoint;  // "https://llm.example.org/v1"; empty: this server
  std::string key;       // of the endpoint; empty: none
  // It takes requests with at most so much, and none of what is false.
  std::optional<int64_t> max_characters, max_messages;
  std::optional<int64_t> max_waiting;  // requests that wait for this model
  std::optional<bool> media, tools, schema, thinking;

  bool is_remote() const { return !endpoint.empty(); }
};

class Routes {
 public:
  // kInvalidData names the file, the rule and what is wrong with it.
  static Result<Routes> load(const std::string& path);
  // kInvalidArgument: a rule is for a model that is none of `models`, or a name is one of them.
  Status check(const std::vector<std::string>& models) const;

  bool has(const std::string& name) const { return rules_.contains(name); }
  std::vector<std::string> names() const;
  // Null: none fits. `takes_remote` is whether an endpoint could answer; `waiting` says how many
  // requests wait for a model of this server.
  const RouteRule* choose(const std::string& name, const RequestShape& shape, bool takes_remote,
                          const std::function<int64_t(const std::string& model)>& waiting) const;
  // The first model of this server that the name may mean; empty: none.
  std::string first_model(const std::string& name) const;

 private:
  std::map<std::string, std::vector<RouteRule>> rules_;
};

}  // namespace gemma4::serve
