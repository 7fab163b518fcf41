// /v1/responses: answering, and the responses that were stored.
#include <algorithm>
#include <charconv>
#include <utility>

#include "base/strings.h"
#include "serve/fields.h"
#include "serve/openai/responses.h"
#include "serve/service_call.h"

namespace gemma4::serve {

using json::Value;

namespace {

constexpr std::string_view kInputItems = "/input_items";
constexpr std::string_view kCancel = "/cancel";

// "a=1&b=2" as an object of strings. Ids and numbers have nothing that needs to be escaped.
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

ApiError no_response(const std::string& id) {
  return {404, str_cat("there is no response ", quote(id), " here (any more)"),
          "response_not_found"};
}

// The items that a response answered, those of earlier turns first.
Result<Value::Array> input_of(const ResponseTurn& last) {
  std::vector<const std::string*> lists{&last.input};
  for (const ResponseTurn* turn = last.previous.get(); turn != nullptr; turn = turn->previous.get())
    lists.insert(lists.end(), {&turn->output, &turn->input});
  Value::Array all;
  for (auto list = lists.rbegin(); list != lists.rend(); ++list) {
    G4_ASSIGN_OR_RETURN(Value items, json::parse(**list));
    for (Value& item : items.as_array()) all.push_back(std::move(item));
  }
  return all;
}

// One page of `items`, as `query` asks.
Result<Value> page_of(Value::Array items, const std::string& query) {
  const Value object = query_object(query);
  Fields fields(object);
  const auto order = fields.word("order", {"asc", "desc"});
  const auto after = fields.text("after");
  const std::string limit_text = fields.text("limit").value_or("20");
  fields.ignore({"include", "include[]"});
  int64_t limit = 0;
  const auto [end, error] =
      std::from_chars(limit_text.data(), limit_text.data() + limit_text.size(), limit);
  if (error != std::errc() || end != limit_text.data() + limit_text.size() || limit < 1 ||
      limit > 100)
    fields.fail("limit", "expected a whole number from 1 to 100");
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

}  // namespace

std::string Service::owner_of(const Call& call) const {
  return keys_ == nullptr ? "" : std::string(key_of(call.exchange->request()));
}

void Service::add_responses() {
  add("POST", "/v1/responses", [this](const std::shared_ptr<Call>& call) { respond(call); });
  add("POST", "/v1/responses/input_tokens",
      [this](const std::shared_ptr<Call>& call) { count_response_tokens(call); });
  add("POST", "/v1/responses/{id}",
      [this](const std::shared_ptr<Call>& call) { cancel_response(call); });
  add("GET", "/v1/responses/{id}",
      [this](const std::shared_ptr<Call>& call) { show_response(call); });
  add("DELETE", "/v1/responses/{id}",
      [this](const std::shared_ptr<Call>& call) { delete_response(call); });
}

Endpoint Service::responses_endpoint(const Call& call) {
  const std::string owner = owner_of(call);
  return openai::responses_endpoint(
      {.find = [this, owner](const std::string& id) -> std::shared_ptr<ResponseTurn> {
         const auto stored = responses_.find(owner, id);
         return stored == nullptr ? nullptr : stored->turn;
       },
       .keep = [this, owner](
                   const std::string& id,
                   StoredResponse response) { responses_.put(owner, id, std::move(response)); }});
}

void Service::respond(const std::shared_ptr<Call>& call) {
  answer(responses_endpoint(*call), call);
}

void Service::count_response_tokens(const std::shared_ptr<Call>& call) {
  const auto run = prepare(responses_endpoint(*call), *call);
  if (!run.ok()) return call->fail(run.error());
  call->reply(Value::Object{{"object", "response.input_tokens"},
                            {"input_tokens", run.value()->prompt_tokens()}});
}

void Service::show_response(const std::shared_ptr<Call>& call) {
  std::string id = call->parameter;
  const bool wants_items = id.ends_with(kInputItems);
  if (wants_items) id.resize(id.size() - kInputItems.size());
  const auto stored = responses_.find(owner_of(*call), id);
  if (stored == nullptr) return call->fail(no_response(id));
  const std::string& query = call->exchange->request().query;
  if (!wants_items) {
    const Value asked = query_object(query);
    Fields fields(asked);
    fields.ignore({"include", "include[]", "include_obfuscation"});
    fields.refuse({"stream"}, "false");  // streams are not kept
    fields.refuse({"starting_after"});
    if (const Status status = fields.finish(); !status.ok()) return call->fail(status.error());
    return call->reply(http::Response{.body = stored->body + "\n"});
  }
  auto items = input_of(*stored->turn);
  if (!items.ok()) return call->fail(items.error());
  const auto page = page_of(std::move(items).value(), query);
  if (!page.ok()) return call->fail(page.error());
  call->reply(page.value());
}

void Service::delete_response(const std::shared_ptr<Call>& call) {
  if (!responses_.remove(owner_of(*call), call->parameter))
    return call->fail(no_response(call->parameter));
  call->reply(Value::Object{{"id", call->parameter}, {"object", "response"}, {"deleted", true}});
}

// Only what runs in the background could be cancelled; clients stop others by going away.
void Service::cancel_response(const std::shared_ptr<Call>& call) {
  std::string id = call->parameter;
  if (!id.ends_with(kCancel))
    return call->fail(ApiError{
        404, str_cat("there is no ", quote(call->exchange->request().path), " to post to")});
  id.resize(id.size() - kCancel.size());
  if (responses_.find(owner_of(*call), id) == nullptr) return call->fail(no_response(id));
  call->fail(ApiError{400, str_cat("the response ", quote(id),
                                   " is complete: only responses with background: true can be "
                                   "cancelled, which this server does not make")});
}

}  // namespace gemma4::serve
