// /v1/responses: answering, and the responses that were stored.
#include <utility>

#include "base/strings.h"
#include "serve/fields.h"
#include "serve/openai/responses.h"
#include "serve/paging.h"
#include "serve/service_call.h"

namespace gemma4::serve {

using json::Value;

namespace {

constexpr std::string_view kInputItems = "/input_items";
constexpr std::string_view kCancel = "/cancel";

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
  count_prompt(responses_endpoint(*call), call, {{"object", "response.input_tokens"}},
               "input_tokens");
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
