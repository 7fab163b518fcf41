// A request and a response as values.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gemma4::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  // "POST"
  std::string path;    // of the target, as it was sent: "/v1/models"
  std::string query;   // behind its question mark; empty: none
  Headers headers;
  std::string body;
  std::string client;  // address of the other end

  // The first header of that name, in any case; empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  Headers headers = {};  // besides those that follow from the rest
};

// Whether both are the same but for the case of ASCII letters, as names in HTTP are compared.
bool same_name(std::string_view a, std::string_view b);

}  // namespace gemma4::http
