#include "chat/tool_call.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

namespace gemma4::chat {
namespace {

// The body with <|"|> as ids give it.
std::string body_of(std::string_view text) {
  std::string body;
  for (size_t at; (at = text.find("<|\"|>")) != text.npos; text.remove_prefix(at + 5)) {
    body += text.substr(0, at);
    body += kQuoteToken;
  }
  return body.append(text);
}

// The arguments of call:f{…, as JSON.
std::string read(const std::string& arguments, const char* schema = nullptr) {
  const std::string body = body_of("call:f{" + arguments);
  const auto header = read_header(body);
  EXPECT_TRUE(header.has_value());
  const json::Value parsed = schema == nullptr ? json::Value() : json::parse(schema).value();
  return json::dump(read_arguments(body, *header, schema == nullptr ? nullptr : &parsed));
}

TEST(ToolCall, Headers) {
  for (const char* body : {"call:f{", " call : f {", ":f{", "\n:f", "call:f("}) {
    const auto header = read_header(body);
    ASSERT_TRUE(header.has_value()) << body;
    EXPECT_EQ(header->name, "f") << body;
  }
  for (const char* body :
       {"", "call", "call:", "f{", "call:{", "call:f g{", "call:f]{", "call:\"f\"{", "callf:g{",
        "call:\xFF"
        "f{"})
    EXPECT_FALSE(read_header(body).has_value()) << body;
  EXPECT_EQ(read_header("call:\xE6\x90\x9C.x-1{")->name, "\xE6\x90\x9C.x-1");
}

TEST(ToolCall, Values) {
  EXPECT_EQ(read("a:1,b:-0.50,c:1e5,d:true,e:null,f:<|\"|>x<|\"|>}"),
            R"({"a":1,"b":-0.50,"c":1e5,"d":true,"e":null,"f":"x"})");
  EXPECT_EQ(read("a:{b:[1,[],{}]}}"), R"({"a":{"b":[1,[],{}]}})");
  EXPECT_EQ(read("s:<|\"|>a\"b\\n\n},:<|\"|>}"), R"({"s":"a\"b\\n\n},:"})");
  EXPECT_EQ(read("}ignored:1"), "{}");
}

TEST(ToolCall, LenientValues) {
  EXPECT_EQ(read(" , a : 1 ,, b:2"), R"({"a":1,"b":2})");
  EXPECT_EQ(read("a:True,b:NONE,c:nil,d:TRUE,e:+5,f:007,g:1.,h:.5"),
            R"({"a":true,"b":null,"c":null,"d":"TRUE","e":"+5","f":"007","g":"1.","h":".5"})");
  EXPECT_EQ(read("a:1,a:{},b:2,a:3"), R"({"a":3,"b":2})");
  EXPECT_EQ(read("a:[1,2}"), R"({"a":[1,2]})");
  EXPECT_EQ(read("a:[1,2"), R"({"a":[1,2]})");
  EXPECT_EQ(read("a:1],b:2"), R"({"a":1,"b":2})");
  EXPECT_EQ(read("a:,b:]}"), R"({"a":"","b":""})");  // the comma ends an empty run
  EXPECT_EQ(read("lost,<|\"|>lost<|\"|>,a:1,<|\"|>cut off"), R"({"a":1})");
  EXPECT_EQ(read(":1}"), R"({"":1})");
  EXPECT_EQ(read("a:x<|\"|>y,z"), R"({"a":"x<|\"|>y"})");
  EXPECT_EQ(read("a<|\"|>b:1"), R"({"a<|\"|>b":1})");
}

TEST(ToolCall, QuotesOfJsonAndPython) {
  EXPECT_EQ(read(R"("a":"x\u00e9\n","b" : "y" })"), "{\"a\":\"x\xC3\xA9\\n\",\"b\":\"y\"}");
  EXPECT_EQ(read("a:\"line\nline\""), R"({"a":"line\nline"})");
  EXPECT_EQ(read(R"(a:"bad \x escape",b:"\ud800")"), R"({"a":"bad \\x escape","b":"\\ud800"})");
  EXPECT_EQ(read(R"(a:'it\'s\t\q')"), R"({"a":"it's\tq"})");
  EXPECT_EQ(read(R"(a:"x"y,b:'open)"), R"({"a":"\"x\"y","b":"'open"})");
  EXPECT_EQ(read("a:\"x<|\"|>y\",b:'<|\"|>'"), R"({"a":"x<|\"|>y","b":"<|\"|>"})");
  EXPECT_EQ(read(R"('a)"), "{}");
}

TEST(ToolCall, ParenthesesForBraces) {
  const auto arguments = [](const std::string& body) {
    return json::dump(read_arguments(body, *read_header(body), nullptr));
  };
  EXPECT_EQ(arguments("call:f(a:1) "), R"({"a":1})");
  EXPECT_EQ(arguments("call:f(a:g(1))"), "{\"a\":\"g(1)\"}");
  EXPECT_EQ(arguments("call:f(a:1"), R"({"a":1})");
  EXPECT_EQ(arguments("call:f(})"), "{}");
}

TEST(ToolCall, TypesOfTheSchema) {
  const char* schema = R"({"properties": {
      "s": {"type": "string"}, "i": {"type": "INTEGER"}, "n": {"type": "number"},
      "b": {"type": "boolean"}, "z": {"type": ["null", "integer"]}, "any": {},
      "o": {"type": "object", "properties": {"s": {"type": "string"}}},
      "l": {"type": "array", "items": {"type": "string"}},
      "u": {"anyOf": [{"type": "integer"}, {"oneOf": [{"type": "null"}]}]}}})";
  EXPECT_EQ(read("s:007,s2:007,any:1", schema), R"({"s":"007","s2":"007","any":1})");
  EXPECT_EQ(read("s:null,l:[1,true]", schema), R"({"s":"null","l":["1","true"]})");
  EXPECT_EQ(read("i:<|\"|>3<|\"|>,n:<|\"|>3.50<|\"|>,b:<|\"|>True<|\"|>", schema),
            R"({"i":3,"n":3.50,"b":true})");
  EXPECT_EQ(read("i:<|\"|>3.5<|\"|>,n:<|\"|>x<|\"|>,b:<|\"|>yes<|\"|>", schema),
            R"({"i":"3.5","n":"x","b":"yes"})");
  EXPECT_EQ(read("z:<|\"|>NULL<|\"|>,u:'4'", schema), R"({"z":null,"u":4})");
  EXPECT_EQ(read("any:<|\"|>4<|\"|>", schema), R"({"any":"4"})");
  EXPECT_EQ(read("o:{s:1,t:1},l:<|\"|>[1]<|\"|>", schema), R"({"o":{"s":"1","t":1},"l":[1]})");
  EXPECT_EQ(read("o:<|\"|>{\"s\": 1}<|\"|>", schema), R"({"o":{"s":1}})");
  EXPECT_EQ(read("o:<|\"|>[1]<|\"|>", schema), R"({"o":"[1]"})");
}

// What is written must be readable again, also when it comes back as JSON text.
TEST(ToolCall, NumbersBeyondDoublesAreText) {
  EXPECT_EQ(read("a:1e999,b:1e-999"), R"({"a":"1e999","b":1e-999})");
  EXPECT_EQ(read("a:" + std::string(400, '9')), R"({"a":")" + std::string(400, '9') + "\"}");
  EXPECT_EQ(read("a:123456789012345678901"), R"({"a":123456789012345678901})");
}

TEST(ToolCall, DepthIsBounded) {
  std::string lists, objects;
  for (int i = 0; i < 100000; ++i) {
    lists += "[";
    objects += "{a:";
  }
  const char* any = R"({"properties":{"b":{"type":"array"}}})";
  for (const std::string& text :
       {read("b:" + lists), read("b:" + objects), read("b:<|\"|>" + lists + "<|\"|>", any)}) {
    EXPECT_TRUE(json::parse(text).ok()) << text.substr(0, 600);
  }
}

TEST(ToolCall, IllFormedTextIsRepaired) {
  EXPECT_EQ(read("a\x80:\x80<|\"|>\xE2\x82"),
            "{\"a\xEF\xBF\xBD\":\"\xEF\xBF\xBD<|\\\"|>\xEF\xBF\xBD\"}");
}

// Each of these would take hours if a failed attempt were repeated from every place.
TEST(ToolCall, TimeIsLinear) {
  const auto repeated = [](const std::string& piece) {
    std::string text;
    while (text.size() < 2000000) text += piece;
    return text;
  };
  const auto start = std::chrono::steady_clock::now();
  std::string different;
  for (int i = 0; i < 200000; ++i)
    different += "k" + std::to_string(i) + ":" + std::to_string(i) + ",";
  for (const std::string& text :
       {repeated("\","), repeated("'a,\"b,"), repeated("\\\","), repeated("a:\"b\" "),
        repeated("a:'b\\"), repeated("<|\"|>,"), repeated("a:["), repeated("{"), different})
    read("x:" + text + ",");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

}  // namespace
}  // namespace gemma4::chat
