// The formats of JSON Schema that are regular, as regular expressions.
#include <map>
#include <mutex>
#include <string>

#include "base/strings.h"
#include "constrain/regex.h"
#include "constrain/schema.h"

namespace gemma4::constrain {
namespace {

std::string group(const std::string& inside) { return "(?:" + inside + ")"; }

// Dates of the Gregorian calendar, leap years included.
std::string date() {
  const std::string any_day =
      "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)"
      "|02-(?:0[1-9]|1\\d|2[0-8]))";
  const std::string fourth = "(?:0[48]|[2468][048]|[13579][26])";
  const std::string leap = group("\\d\\d" + fourth + "|" + group("00|" + fourth) + "00");
  return group("\\d{4}-" + any_day + "|" + leap + "-02-29");
}

std::string time() {
  const std::string offset = "(?:[zZ]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
  // A leap second only where it is midnight in UTC, which is decided for offset 0 alone.
  return group("(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?" + offset +
               "|23:59:60(?:\\.\\d+)?(?:[zZ]|[+-]00:00)");
}

std::string duration() {
  const std::string times = "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)";
  const std::string days = "(?:\\d+D|\\d+M(?:\\d+D)?|\\d+Y(?:\\d+M(?:\\d+D)?)?)";
  return "P(?:" + days + group(times) + "?|" + times + "|\\d+W)";
}

std::string ipv4() {
  const std::string byte = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  return group(byte + "(?:\\." + byte + "){3}");
}

std::string ipv6() {
  const std::string h = "[0-9a-fA-F]{1,4}";
  const std::string last = group(h + ":" + h + "|" + ipv4());
  std::string all = "(?:" + h + ":){6}" + last + "|::(?:" + h + ":){5}" + last;
  for (int before = 1; before <= 7; ++before) {
    const std::string front =
        group(h + "(?::" + h + "){0," + std::to_string(before - 1) + "}") + "?::";
    const int after = 5 - before;  // groups of 16 bits before the last 32 bits
    if (after > 0) all += "|" + front + "(?:" + h + ":){" + std::to_string(after) + "}" + last;
    if (after == 0) all += "|" + front + last;
    if (after == -1) all += "|" + front + h;
    if (after == -2) all += "|" + front;
  }
  return group(all);
}

std::string hostname() {
  const std::string label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
  return group(label + "(?:\\." + label + ")*");
}

std::string email() {
  const std::string atom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+";
  const std::string quoted = "\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\"";
  return group(atom + "(?:\\." + atom + ")*|" + quoted) + "@" +
         group(hostname() + "|\\[" + ipv4() + "\\]|\\[IPv6:" + ipv6() + "\\]");
}

const std::string kPercent = "%[0-9a-fA-F]{2}";

// A URI or a reference to one; `more` are characters allowed beyond ASCII.
std::string uri(bool relative, const std::string& more) {
  const std::string plain = "[a-zA-Z0-9._~!$&'()*+,;=" + more + "-]";
  const std::string pchar = group("[a-zA-Z0-9._~!$&'()*+,;=:@" + more + "-]|" + kPercent);
  const std::string user = group("[a-zA-Z0-9._~!$&'()*+,;=:" + more + "-]|" + kPercent);
  const std::string host =
      group("\\[" + ipv6() + "\\]|\\[v[0-9a-fA-F]+\\.[a-zA-Z0-9._~!$&'()*+,;=:-]+\\]|" +
            group(plain + "|" + kPercent) + "*");
  const std::string authority = "//(?:" + user + "*@)?" + host + "(?::\\d*)?(?:/" + pchar + "*)*";
  const std::string rest =
      "(?:\\?" + group(pchar + "|[/?]") + "*)?(?:#" + group(pchar + "|[/?]") + "*)?";
  const std::string rooted = "/(?:" + pchar + "+(?:/" + pchar + "*)*)?";
  const std::string rootless = pchar + "+(?:/" + pchar + "*)*";
  std::string absolute =
      "[a-zA-Z][a-zA-Z0-9+.-]*:" + group(authority + "|" + rooted + "|" + rootless) + "?" + rest;
  if (!relative) return absolute;
  const std::string no_colon = group("[a-zA-Z0-9._~!$&'()*+,;=@" + more + "-]|" + kPercent);
  return group(absolute + "|" +
               group(authority + "|" + rooted + "|" + no_colon + "+(?:/" + pchar + "*)*") + "?" +
               rest);
}

std::string uri_template() {
  const std::string var_char = group("[a-zA-Z0-9_]|" + kPercent);
  const std::string name = var_char + "(?:\\.?" + var_char + ")*";
  const std::string var = name + "(?::[1-9][0-9]{0,3}|\\*)?";
  return "(?:[^\\0-\\x20\"'%<>\\\\^`{|}\\x7f]|" + kPercent + "|\\{[+#./;?&=,!@|]?" + var + "(?:," +
         var + ")*\\})*";
}

const std::map<std::string, std::string, std::less<>>& expressions() {
  static const auto* const kAll = new std::map<std::string, std::string, std::less<>>{
      {"date", date()},
      {"time", time()},
      {"date-time", date() + "[tT]" + time()},
      {"duration", duration()},
      {"email", email()},
      {"hostname", hostname()},
      {"ipv4", ipv4()},
      {"ipv6", ipv6()},
      {"uri", uri(false, "")},
      {"uri-reference", uri(true, "")},
      {"uri-template", uri_template()},
      {"iri", uri(false, "\\u{A0}-\\u{10FFFF}")},
      {"iri-reference", uri(true, "\\u{A0}-\\u{10FFFF}")},
      {"uuid", "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"},
      {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
      {"relative-json-pointer", "(?:0|[1-9]\\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)"},
  };
  return *kAll;
}

}  // namespace

bool is_standard_format(std::string_view format) {
  return expressions().contains(format) || format == "regex" || format == "idn-email" ||
         format == "idn-hostname";
}

const Dfa* dfa_of_format(std::string_view format) {
  static std::mutex mutex;
  static auto* const compiled = new std::map<std::string, Dfa, std::less<>>;
  const auto expression = expressions().find(format);
  if (expression == expressions().end()) return nullptr;
  const std::lock_guard lock(mutex);
  auto it = compiled->find(format);
  if (it == compiled->end())
    it = compiled
             ->emplace(std::string(format),
                       compile_regex(expression->second, RegexMode::kWhole).value())
             .first;
  return &it->second;  // never erased
}

}  // namespace gemma4::constrain
