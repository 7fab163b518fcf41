#include "apps/answer_form.h"

#include <CLI/CLI.hpp>
#include <string_view>
#include <utility>
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
  if (!value.is_array())
    return Error{ErrorCode::kInvalidArgument, path + ": expected a list of tools, [...]"};
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

// --tool-choice, read.
struct ToolChoice {
  enum class Kind { kAuto, kNone, kRequired, kNamed };
  Kind kind;
  std::string name = {};
};

// A tool may be called like one of the words: "name:auto" is that tool. Names hold no colons.
ToolChoice parse_choice(std::string_view text) {
  constexpr std::string_view kName = "name:";
  if (text == "auto") return {ToolChoice::Kind::kAuto};
  if (text == "none") return {ToolChoice::Kind::kNone};
  if (text == "required") return {ToolChoice::Kind::kRequired};
  if (text.starts_with(kName)) text.remove_prefix(kName.size());
  return {ToolChoice::Kind::kNamed, std::string(text)};
}

// Those that the choice leaves: one by its name, or all.
Result<std::vector<constrain::Tool>> choose(const json::Value::Array& tools,
                                            const ToolChoice& choice) {
  std::vector<constrain::Tool> chosen;
  std::string names;
  for (const json::Value& declaration : tools) {
    const constrain::Tool tool = tool_of(declaration);
    names += (names.empty() ? "" : ", ") + tool.name;
    if (choice.kind != ToolChoice::Kind::kNamed || choice.name == tool.name) chosen.push_back(tool);
  }
  if (chosen.empty())
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("--tool-choice ", choice.name,
                         ": must be auto, none, required, or one of ", names)};
  return chosen;
}

using CompileResult = Result<std::shared_ptr<const constrain::CompiledGrammar>>;

// Errors name where the grammar is from.
CompileResult compile(Result<std::shared_ptr<const constrain::Grammar>> grammar,
                      const std::string& origin) {
  if (!grammar.ok()) return grammar.error().with_context(origin);
  return CompileResult(
      std::make_shared<const constrain::CompiledGrammar>(std::move(grammar).value()));
}

// What the calls of an answer may be.
CompileResult compile_calls(const AnswerArguments& arguments, const json::Value::Array& tools,
                            const ToolChoice& choice, const constrain::ControlTokens& tokens) {
  G4_ASSIGN_OR_RETURN(const auto chosen, choose(tools, choice));
  const auto count =
      arguments.one_call ? constrain::CallCount::kOne : constrain::CallCount::kOneOrMore;
  return compile(grammar_of_calls(chosen, tokens, count), arguments.tools);
}

// What the content of an answer may be; null: any text.
CompileResult compile_content(const AnswerArguments& arguments) {
  if (!arguments.schema.empty()) {
    G4_ASSIGN_OR_RETURN(const json::Value schema, read_json(arguments.schema));
    return compile(constrain::grammar_of_schema(schema, {}), arguments.schema);
  }
  if (!arguments.grammar.empty()) {
    G4_ASSIGN_OR_RETURN(const std::string text, io::read_file(arguments.grammar, kMaxFileBytes));
    return compile(constrain::grammar_of_ebnf(text), arguments.grammar);
  }
  if (!arguments.regex.empty())
    return compile(constrain::grammar_of_regex(arguments.regex), "--regex");
  return CompileResult(nullptr);
}

}  // namespace

struct AnswerForm::Compiled {
  std::shared_ptr<const constrain::VocabularyIndex> index;
  std::shared_ptr<const constrain::ControlTokens> tokens;
  AnswerOptions options;
};

void add_answer_arguments(CLI::App& command, AnswerArguments& arguments) {
  auto* tools =
      command.add_option("--tools", arguments.tools,
                         "Tools that may be called: a JSON file, a list as the OpenAI API has it");
  command
      .add_option("--tool-choice", arguments.tool_choice,
                  "auto, none, required (at least one call), or the name of the tool to call "
                  "(name:auto for a tool of that name)")
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
  for (CLI::Option* option : {tools, schema, grammar, regex}) option->check(not_empty());
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
  const ToolChoice choice = parse_choice(arguments.tool_choice);
  AnswerForm form;
  if (!arguments.tools.empty()) {
    G4_ASSIGN_OR_RETURN(form.tools_, read_tools(arguments.tools));
    form.reads_calls_ = choice.kind != ToolChoice::Kind::kNone;
    const auto call = tokenizer.added_token(constrain::kCallBegin);
    if (!form.reads_calls_ && call) form.suppressed_.push_back(*call);
  }
  G4_ASSIGN_OR_RETURN(auto content, compile_content(arguments));
  if (!form.reads_calls_ && content == nullptr && !arguments.think_tokens) return form;

  auto result = std::make_shared<Compiled>();
  result->index = constrain::VocabularyIndex::build(tokenizer);
  G4_ASSIGN_OR_RETURN(result->tokens, constrain::ControlTokens::find(tokenizer, *result->index));
  AnswerOptions& options = result->options;
  if (arguments.think_tokens) options.thinking_budget = *arguments.think_tokens;
  options.content = std::move(content);
  if (form.reads_calls_) {
    G4_ASSIGN_OR_RETURN(options.calls,
                        compile_calls(arguments, form.tools_, choice, *result->tokens));
    if (choice.kind != ToolChoice::Kind::kAuto) options.choice = constrain::Calls::kForced;
  }
  form.compiled_ = std::move(result);
  return form;
}

std::shared_ptr<TokenConstraint> AnswerForm::constraint(const AnswerStart& start) const {
  if (compiled_ == nullptr) return nullptr;
  AnswerOptions options = compiled_->options;
  options.thinking = start.thinking ? constrain::Thinking::kOn : constrain::Thinking::kOff;
  options.in_thought = start.in_thought;
  if (start.after_results) options.choice = constrain::Calls::kAuto;
  return std::make_shared<AnswerConstraint>(compiled_->tokens, compiled_->index,
                                            std::move(options));
}

std::shared_ptr<TokenConstraint> AnswerForm::raw_constraint() const {
  if (compiled_ == nullptr || compiled_->options.content == nullptr) return nullptr;
  return std::make_shared<AnswerConstraint>(compiled_->tokens, compiled_->index,
                                            AnswerOptions{.content = compiled_->options.content});
}

}  // namespace gemma4::apps
