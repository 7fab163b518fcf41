#include "apps/answer_form.h"

#include <CLI/CLI.hpp>
#include <limits>
#include <vector>

#include "apps/option_checks.h"
#include "base/strings.h"
#include "chat/openai_messages.h"
#include "constrain/answer_constraint.h"
#include "constrain/call_grammar.h"
#include "constrain/ebnf.h"
#include "constrain/schema_grammar.h"
#include "io/mapped_file.h"

namespace gemma4::apps {

using constrain::AnswerConstraint;
using constrain::AnswerOptions;
using constrain::CompiledGrammar;
using constrain::Grammar;

namespace {

constexpr size_t kMaxFileBytes = 16 << 20;

Result<json::Value> read_json(const std::string& path) {
  G4_ASSIGN_OR_RETURN(const std::string text, io::read_file(path, kMaxFileBytes));
  auto value = json::parse(text);
  if (!value.ok()) return value.error().with_context(path);
  return value;
}

Result<json::Value::Array> read_tools(const std::string& path) {
  G4_ASSIGN_OR_RETURN(const json::Value value, read_json(path));
  auto tools = chat::parse_tools(value, chat::Dialect::kOpenAi);
  if (!tools.ok()) return tools.error().with_context(path);
  if (tools.value().empty())
    return Error{ErrorCode::kInvalidArgument, path + ": declares no tools"};
  return tools;
}

constrain::Tool tool_of(const json::Value& declaration) {
  const json::Value& function = *declaration.find("function");
  return {.name = function.find("name")->as_string(), .parameters = function.find("parameters")};
}

// Those that the choice leaves: one by its name, or all.
Result<std::vector<constrain::Tool>> choose(const json::Value::Array& tools,
                                            const std::string& choice) {
  std::vector<constrain::Tool> chosen;
  std::string names;
  for (const json::Value& declaration : tools) {
    const constrain::Tool tool = tool_of(declaration);
    names += (names.empty() ? "" : ", ") + tool.name;
    if (choice == "auto" || choice == "required" || choice == tool.name) chosen.push_back(tool);
  }
  if (chosen.empty())
    return Error{
        ErrorCode::kInvalidArgument,
        str_cat("--tool-choice ", choice, ": must be auto, none, required, or one of ", names)};
  return chosen;
}

std::shared_ptr<const CompiledGrammar> compiled(std::shared_ptr<const Grammar> grammar) {
  return std::make_shared<const CompiledGrammar>(std::move(grammar));
}

}  // namespace

struct AnswerForm::Compiled {
  std::shared_ptr<const constrain::VocabularyIndex> index;
  std::shared_ptr<const constrain::ControlTokens> tokens;
  AnswerOptions options;
};

void add_answer_arguments(CLI::App& command, AnswerArguments& arguments) {
  auto* tools = command.add_option(
      "--tools", arguments.tools, "Tools that may be called: a JSON file as the OpenAI API has it");
  command
      .add_option("--tool-choice", arguments.tool_choice,
                  "auto, none, required (at least one call), or the name of the tool to call")
      ->capture_default_str()
      ->needs(tools);
  command.add_flag("--one-call", arguments.one_call, "At most one tool call in an answer")
      ->needs(tools);
  auto* schema =
      command.add_option("--schema", arguments.schema,
                         "The answer is JSON that satisfies the JSON Schema of this file");
  auto* grammar = command.add_option("--grammar", arguments.grammar,
                                     "The answer follows the EBNF grammar of this file");
  auto* regex = command.add_option("--regex", arguments.regex,
                                   "The answer is a text that this expression matches as a whole");
  grammar->excludes(schema);
  regex->excludes(schema)->excludes(grammar);
  auto* think_tokens =
      command
          .add_option("--think-tokens", arguments.think_tokens,
                      "Most tokens of a thought; then it is ended and the answer begins")
          ->check(whole_number(0));
  command
      .add_option("--effort", arguments.effort,
                  "How hard to think: none, minimal, low, medium or high (sets both of the above)")
      ->check(one_of({"none", "minimal", "low", "medium", "high"}))
      ->excludes(think_tokens)
      ->excludes("--think");
}

Result<AnswerForm> AnswerForm::load(const AnswerArguments& arguments,
                                    const text::Tokenizer& tokenizer) {
  AnswerForm form;
  if (!arguments.tools.empty()) {
    G4_ASSIGN_OR_RETURN(form.tools_, read_tools(arguments.tools));
    form.reads_calls_ = arguments.tool_choice != "none";
  }
  if (!form.reads_calls_ && arguments.schema.empty() && arguments.grammar.empty() &&
      arguments.regex.empty() && !arguments.think_tokens)
    return form;

  auto result = std::make_shared<Compiled>();
  result->index = constrain::VocabularyIndex::build(tokenizer);
  G4_ASSIGN_OR_RETURN(result->tokens, constrain::ControlTokens::find(tokenizer, *result->index));
  if (arguments.think_tokens) result->options.thinking_budget = *arguments.think_tokens;
  if (form.reads_calls_) {
    G4_ASSIGN_OR_RETURN(const auto chosen, choose(form.tools_, arguments.tool_choice));
    auto grammar = grammar_of_calls(
        chosen, *result->tokens,
        arguments.one_call ? constrain::CallCount::kOne : constrain::CallCount::kOneOrMore);
    if (!grammar.ok()) return grammar.error().with_context(arguments.tools);
    result->options.calls = compiled(std::move(grammar).value());
    if (arguments.tool_choice != "auto") result->options.choice = constrain::Calls::kForced;
  }
  if (!arguments.schema.empty()) {
    G4_ASSIGN_OR_RETURN(const json::Value schema, read_json(arguments.schema));
    auto grammar = constrain::grammar_of_schema(schema, {});
    if (!grammar.ok()) return grammar.error().with_context(arguments.schema);
    result->options.content = compiled(std::move(grammar).value());
  }
  if (!arguments.grammar.empty()) {
    G4_ASSIGN_OR_RETURN(const std::string text, io::read_file(arguments.grammar, kMaxFileBytes));
    auto grammar = constrain::grammar_of_ebnf(text);
    if (!grammar.ok()) return grammar.error().with_context(arguments.grammar);
    result->options.content = compiled(std::move(grammar).value());
  }
  if (!arguments.regex.empty()) {
    auto grammar = constrain::grammar_of_regex(arguments.regex);
    if (!grammar.ok()) return grammar.error().with_context("--regex");
    result->options.content = compiled(std::move(grammar).value());
  }
  form.compiled_ = std::move(result);
  return form;
}

std::shared_ptr<TokenConstraint> AnswerForm::constraint(bool thinking, bool after_results) const {
  if (compiled_ == nullptr) return nullptr;
  AnswerOptions options = compiled_->options;
  options.thinking = thinking ? constrain::Thinking::kOn : constrain::Thinking::kOff;
  if (after_results) options.choice = constrain::Calls::kAuto;
  return std::make_shared<AnswerConstraint>(compiled_->tokens, compiled_->index,
                                            std::move(options));
}

}  // namespace gemma4::apps
