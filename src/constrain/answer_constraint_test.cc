#include "constrain/answer_constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "constrain/call_grammar.h"
#include "constrain/schema_grammar.h"

namespace gemma4::constrain {
namespace {

using ::testing::HasSubstr;
using text::TokenId;

class AnswerConstraintTest : public ::testing::Test {
 protected:
  static const text::Tokenizer& tokenizer() {
    static const auto kTokenizer =
        text::Tokenizer::load(std::string(GEMMA4_SOURCE_DIR) + "/models/demo").value();
    return kTokenizer;
  }
  AnswerConstraintTest()
      : index_(VocabularyIndex::build(tokenizer())),
        tokens_(ControlTokens::find(tokenizer(), *index_).value()) {}

  std::shared_ptr<const CompiledGrammar> schema(std::string_view text) const {
    return std::make_shared<CompiledGrammar>(
        grammar_of_schema(json::parse(text).value(), {}).value());
  }
  std::shared_ptr<const CompiledGrammar> calls(CallCount count) {
    weather_ = json::parse(R"({"type":"object","properties":{"unit":{"enum":["C","F"]},
        "City":{"type":"string"},"days":{"type":"integer"}},"required":["City"]})")
                   .value();
    const Tool tools[] = {{"weather", &weather_}, {"now"}};
    return std::make_shared<CompiledGrammar>(grammar_of_calls(tools, *tokens_, count).value());
  }
  AnswerConstraint constraint(AnswerOptions options) const {
    return {tokens_, index_, std::move(options)};
  }
  bool allows(AnswerConstraint& constraint, TokenId id) const {
    std::vector<uint32_t> bits(index_->num_words() + 1, ~0U);
    constraint.mask(bits);
    EXPECT_EQ(bits.back(), 0U);
    return (bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
  }
  // Goes through `text`, in which control tokens count; false where one is not allowed.
  bool accepts(AnswerConstraint& constraint, std::string_view text) const {
    for (const TokenId id : tokenizer().encode(text)) {
      if (!allows(constraint, id)) return false;
      constraint.accept(id);
    }
    return true;
  }
  TokenId id(std::string_view control) const { return *tokenizer().added_token(control); }

  json::Value weather_;
  std::shared_ptr<const VocabularyIndex> index_;
  std::shared_ptr<const ControlTokens> tokens_;
};

TEST_F(AnswerConstraintTest, FreeTextLacksOnlyControlTokens) {
  AnswerConstraint free = constraint({});
  for (const char* never : {"<|turn>", "<|think|>", "<bos>", "<pad>", "<unk>", "<|image>",
                            "<|channel>", "<|tool_call>", "<|\"|>", "<tool_response|>"})
    EXPECT_FALSE(allows(free, id(never))) << never;
  EXPECT_TRUE(accepts(free, "Hello, world {"));
  EXPECT_FALSE(free.finished());
  EXPECT_TRUE(accepts(free, "<turn|>"));
  EXPECT_TRUE(free.finished());
}

TEST_F(AnswerConstraintTest, ContentOfASchema) {
  AnswerConstraint json = constraint({.content = schema(R"({"type":"array"})")});
  EXPECT_FALSE(allows(json, id("<eos>")));
  EXPECT_FALSE(allows(json, id("<|channel>")));
  EXPECT_TRUE(accepts(json, "[1, \"a\"]"));
  EXPECT_TRUE(json.finished());
  EXPECT_FALSE(allows(json, tokenizer().encode("x")[0]));
  EXPECT_TRUE(accepts(json, "<turn|>"));
  EXPECT_FALSE(json.broken());
  AnswerConstraint wrong = constraint({.content = schema("true")});
  wrong.accept(tokenizer().encode("x")[0]);
  EXPECT_TRUE(wrong.broken());
  EXPECT_TRUE(allows(wrong, id("<eos>")));
}

TEST_F(AnswerConstraintTest, TheGrammarWaitsForTheThought) {
  const AnswerOptions options{.thinking = Thinking::kOn, .content = schema(R"({"type":"null"})")};
  AnswerConstraint thinking = constraint(options);
  EXPECT_TRUE(accepts(thinking, "<|channel>thought\nany text \"]"));
  EXPECT_FALSE(allows(thinking, id("<turn|>")));
  EXPECT_FALSE(allows(thinking, id("<|channel>")));
  EXPECT_TRUE(accepts(thinking, "<channel|>null<turn|>"));
  AnswerConstraint at_once = constraint(options);
  EXPECT_FALSE(allows(at_once, tokenizer().encode("any")[0]));
  EXPECT_TRUE(accepts(at_once, "null"));
}

TEST_F(AnswerConstraintTest, TheBudgetEndsTheThought) {
  AnswerConstraint cut =
      constraint({.thinking = Thinking::kOn, .thinking_budget = 3, .content = schema("true")});
  cut.accept(id("<|channel>"));
  const TokenId word = tokenizer().encode("a")[0];
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(allows(cut, word));
    cut.accept(word);
  }
  EXPECT_FALSE(allows(cut, word));
  EXPECT_FALSE(allows(cut, id("<channel|>")));
  EXPECT_TRUE(accepts(cut, "\n"));
  EXPECT_FALSE(allows(cut, word));
  EXPECT_TRUE(accepts(cut, "<channel|>true<turn|>"));
}

TEST_F(AnswerConstraintTest, CallsWhereTheModelBeginsThem) {
  const AnswerOptions options{.calls = calls(CallCount::kOneOrMore)};
  AnswerConstraint call = constraint(options);
  EXPECT_TRUE(accepts(call, "Let me see.<|tool_call>call:"));
  EXPECT_FALSE(allows(call, tokenizer().encode("x")[0]));
  EXPECT_TRUE(accepts(call, "weather{City:<|\"|>New \"York\", {}<|\"|>,unit:<|\"|>C<|\"|>}"));
  EXPECT_FALSE(allows(call, id("<turn|>")));
  EXPECT_TRUE(accepts(call, "<tool_call|>"));
  EXPECT_FALSE(call.finished());  // another may follow
  EXPECT_TRUE(accepts(call, "<|tool_call>call:now{a:[1,{b:<|\"|><|\"|>}],c:null}<tool_call|>"));
  EXPECT_TRUE(accepts(call, "<|tool_response>"));
  EXPECT_TRUE(call.finished());
  AnswerConstraint text = constraint(options);
  EXPECT_TRUE(accepts(text, "No call.<turn|>"));
}

TEST_F(AnswerConstraintTest, ArgumentsFollowTheSchema) {
  for (const char* wrong :
       {"weather{}", "weather{unit:<|\"|>C<|\"|>}",
        "weather{unit:<|\"|>C<|\"|>,City:<|\"|>x<|\"|>}", "weather{City:<|\"|>x<|\"|>,days:1.5}",
        "weather{City:<|\"|>x<|\"|>,unit:<|\"|>K<|\"|>}", "weather{City:x}",
        "weather{City:<|\"|>x<|\"|>,other:1}", "other{}", "weather{city:1}"}) {
    AnswerConstraint call = constraint({.calls = calls(CallCount::kOne), .choice = Calls::kForced});
    EXPECT_FALSE(accepts(call, std::string("<|tool_call>call:") + wrong + "<tool_call|>")) << wrong;
  }
  AnswerConstraint call = constraint({.calls = calls(CallCount::kOne), .choice = Calls::kForced});
  EXPECT_FALSE(allows(call, tokenizer().encode("x")[0]));
  EXPECT_TRUE(accepts(call, "<|tool_call>call:weather{City:<|\"|>x<|\"|>,days:3}<tool_call|>"));
  EXPECT_FALSE(allows(call, id("<|tool_call>")));
  EXPECT_TRUE(call.finished());
  // Ordinary tokens that spell the quote do not stand for it.
  AnswerConstraint spelled =
      constraint({.calls = calls(CallCount::kOne), .choice = Calls::kForced});
  EXPECT_TRUE(accepts(spelled, "<|tool_call>call:weather{City:"));
  for (const TokenId ordinary : tokenizer().encode("<|\"|>", text::Tokenizer::AddedTokens::kIgnore))
    EXPECT_FALSE(allows(spelled, ordinary));
}

TEST_F(AnswerConstraintTest, ToolsAndASchema) {
  const AnswerOptions options{.content = schema(R"({"type":"integer"})"),
                              .calls = calls(CallCount::kOne)};
  AnswerConstraint content = constraint(options);
  EXPECT_TRUE(allows(content, id("<|tool_call>")));
  EXPECT_TRUE(accepts(content, "12"));
  EXPECT_FALSE(allows(content, id("<|tool_call>")));
  AnswerConstraint call = constraint(options);
  EXPECT_TRUE(accepts(call, "<|tool_call>call:now{}<tool_call|>"));
  EXPECT_TRUE(call.finished());
}

TEST_F(AnswerConstraintTest, CopiesRollBack) {
  AnswerConstraint first = constraint({.content = schema(R"({"enum":["ab","cd"]})")});
  EXPECT_TRUE(accepts(first, "\"a"));
  AnswerConstraint copy = first;
  EXPECT_TRUE(accepts(first, "b\""));
  EXPECT_TRUE(first.finished());
  EXPECT_FALSE(copy.finished());
  EXPECT_TRUE(accepts(copy, "b\""));
}

TEST_F(AnswerConstraintTest, RefusalsNameTheTool) {
  const json::Value schema = json::parse(R"x({"properties":{"x":{"pattern":"(?!a)"}}})x").value();
  const Tool tools[] = {{"look", &schema}};
  const auto grammar = grammar_of_calls(tools, *tokens_, CallCount::kOne);
  ASSERT_FALSE(grammar.ok());
  EXPECT_THAT(grammar.error().message,
              HasSubstr("tool 'look': schema at '/properties/x': pattern"));
}

}  // namespace
}  // namespace gemma4::constrain
