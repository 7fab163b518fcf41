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
  EXPECT_FALSE(json.failure());
}

TEST_F(AnswerConstraintTest, AForbiddenTokenIsAFailure) {
  AnswerConstraint wrong = constraint({.content = schema("true")});
  wrong.accept(tokenizer().encode("x")[0]);
  ASSERT_TRUE(wrong.failure());
  EXPECT_EQ(wrong.failure()->code, ErrorCode::kInvalidData);
  EXPECT_FALSE(allows(wrong, id("<eos>")));
  EXPECT_FALSE(wrong.finished());
}

TEST_F(AnswerConstraintTest, ADeadEndIsAFailure) {
  GrammarBuilder grammar;  // "a", then a control token that this vocabulary does not have
  const RuleId root = grammar.add_rule("root");
  grammar.accept(grammar.symbol(grammar.bytes(grammar.start(root), "a"), index_->size() + 1));
  AnswerConstraint dead =
      constraint({.content = std::make_shared<CompiledGrammar>(grammar.build(root).value())});
  EXPECT_TRUE(accepts(dead, "a"));
  EXPECT_FALSE(dead.failure());
  EXPECT_FALSE(allows(dead, id("<eos>")));
  ASSERT_TRUE(dead.failure());
  EXPECT_EQ(dead.failure()->code, ErrorCode::kUnsupported);
  EXPECT_THAT(dead.failure()->message, HasSubstr("dead end"));
}

// Twice as many readings with every byte, none of which is the same as another.
std::shared_ptr<const CompiledGrammar> twofold_at_every_byte() {
  GrammarBuilder grammar;
  const RuleId root = grammar.add_rule("root");
  const StateId again = grammar.bytes(grammar.start(root), "a");
  for (const char* end : {"b", "c"}) grammar.accept(grammar.bytes(grammar.call(again, root), end));
  grammar.accept(again);
  return std::make_shared<CompiledGrammar>(grammar.build(root).value());
}

TEST_F(AnswerConstraintTest, TooManyStatesAreAFailure) {
  AnswerConstraint many = constraint({.content = twofold_at_every_byte()});
  for (int i = 0; i < 30 && !many.failure(); ++i)
    if (allows(many, tokenizer().encode("a")[0])) many.accept(tokenizer().encode("a")[0]);
  ASSERT_TRUE(many.failure());
  EXPECT_EQ(many.failure()->code, ErrorCode::kResourceExhausted);
  EXPECT_FALSE(many.finished());
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

TEST_F(AnswerConstraintTest, TheLabelOfAThoughtIsNotCounted) {
  AnswerConstraint cut = constraint({.thinking = Thinking::kOn, .thinking_budget = 1});
  EXPECT_TRUE(accepts(cut, "<|channel>thought\n"));
  const TokenId word = tokenizer().encode("a")[0];
  EXPECT_TRUE(allows(cut, word));
  cut.accept(word);
  EXPECT_FALSE(allows(cut, word));
  EXPECT_TRUE(accepts(cut, "\n<channel|>answer"));
  EXPECT_FALSE(cut.failure());
}

TEST_F(AnswerConstraintTest, WithoutABudgetTheThoughtIsEmpty) {
  AnswerConstraint none = constraint({.thinking = Thinking::kOn, .thinking_budget = 0});
  none.accept(id("<|channel>"));
  for (const TokenId forced : tokenizer().encode("thought\n<channel|>")) {
    std::vector<uint32_t> bits(index_->num_words(), ~0U);
    none.mask(bits);
    int allowed = 0;
    for (const uint32_t word : bits) allowed += __builtin_popcount(word);
    EXPECT_EQ(allowed, 1);
    ASSERT_TRUE(allows(none, forced));
    none.accept(forced);
  }
  EXPECT_FALSE(allows(none, id("<|channel>")));  // nor any other
  EXPECT_TRUE(accepts(none, "Yes.<turn|>"));
}

TEST_F(AnswerConstraintTest, ABudgetIsOfAllThoughtsTogether) {
  AnswerConstraint two = constraint({.thinking = Thinking::kOn, .thinking_budget = 3});
  const TokenId word = tokenizer().encode("a")[0];
  EXPECT_TRUE(accepts(two, "<|channel>thought\naa<channel|>First. <|channel>thought\n"));
  EXPECT_TRUE(allows(two, word));
  two.accept(word);
  EXPECT_FALSE(allows(two, word));
  EXPECT_TRUE(accepts(two, "\n<channel|>Second. "));
  EXPECT_FALSE(allows(two, id("<|channel>")));
}

TEST_F(AnswerConstraintTest, AnAnswerMayBeginWithinAThought) {
  AnswerConstraint inside = constraint(
      {.thinking = Thinking::kOn, .in_thought = true, .content = schema(R"({"type":"null"})")});
  EXPECT_FALSE(allows(inside, id("<|channel>")));
  EXPECT_FALSE(allows(inside, id("<turn|>")));
  EXPECT_TRUE(accepts(inside, "some {text}<channel|>null<turn|>"));
  EXPECT_TRUE(inside.finished());

  AnswerConstraint short_one =
      constraint({.thinking = Thinking::kOn, .in_thought = true, .thinking_budget = 1});
  const TokenId word = tokenizer().encode("a")[0];
  EXPECT_TRUE(allows(short_one, word));
  short_one.accept(word);
  EXPECT_FALSE(allows(short_one, word));
  EXPECT_TRUE(accepts(short_one, "\n<channel|>text"));

  AnswerConstraint none =
      constraint({.thinking = Thinking::kOn, .in_thought = true, .thinking_budget = 0});
  EXPECT_FALSE(allows(none, word));
  EXPECT_TRUE(accepts(none, "<channel|>text"));  // the prompt ends its line
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
