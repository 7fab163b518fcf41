// Method and path to what answers them.
//
//   Router<Handler> router;
//   router.add("GET", "/v1/models/{model}", handler);
//   const auto found = router.find("GET", "/v1/models/demo");  // found.parameter == "demo"
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gemma4::http {

// Whether `path` is `pattern`, whose end may be "{…}" for one or more characters, slashes included
// (names of models have them); those become `parameter`.
inline bool matches(std::string_view pattern, std::string_view path, std::string_view& parameter) {
  const size_t brace = pattern.find('{');
  if (brace == pattern.npos) return pattern == path;
  if (!path.starts_with(pattern.substr(0, brace)) || path.size() <= brace) return false;
  parameter = path.substr(brace);
  return true;
}

template <typename Target>
class Router {
 public:
  void add(std::string method, std::string pattern, Target target) {
    routes_.push_back({std::move(method), std::move(pattern), std::move(target)});
  }

  struct Found {
    const Target* target = nullptr;  // null: there is no such path, or not with this method
    std::string_view parameter;
    std::string allowed;  // methods that the path has: "GET, POST"; empty: no such path
  };
  // HEAD is answered by what answers GET.
  Found find(std::string_view method, std::string_view path) const {
    if (method == "HEAD") method = "GET";
    Found found;
    for (const Route& route : routes_) {
      std::string_view parameter;
      if (!matches(route.pattern, path, parameter)) continue;
      if (route.method == method) return {&route.target, parameter, {}};
      found.allowed += (found.allowed.empty() ? "" : ", ") + route.method;
    }
    return found;
  }

 private:
  struct Route {
    std::string method, pattern;
    Target target;
  };
  std::vector<Route> routes_;
};

}  // namespace gemma4::http
