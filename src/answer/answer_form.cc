#include "answer/answer_form.h"

#include <string_view>
#include <utility>

#include "base/strings.h"
#include "constrain/answer_constraint.h"
#include "constrain/ebnf.h"
#include "constrain/schema_grammar.h"

namespace gemma4::answer {

using constrain::AnswerConstraint;
using constrain::AnswerOptions;

struct FormTables {
  std::shared_ptr<const constrain::VocabularyIndex> index;
  std::shared_ptr<const constrain::ControlTokens> tokens;
};

struct AnswerForm::Compiled {
  std::shared_ptr<const FormTables> tables;
  AnswerOptions options;
};

namespace {

using CompileResult = Result<std::shared_ptr<const constrain::CompiledGrammar>>;

constrain::Tool tool_of(const json::Value& declaration) {
  const json::Value& function = *declaration.find("function");
  return {.name = function.find("name")->as_string(), .parameters = function.find("parameters")};
}

// Those that the choice leaves: one by its name, or all.
Result<std::vector<constrain::Tool>> choose(const FormOptions& options, const FormNames& names) {
  std::vector<constrain::Tool> chosen;
  std::string known;
  for (const json::Value& declaration : options.tools) {
    const constrain::Tool tool = tool_of(declaration);
    known += (known.empty() ? "" : ", ") + tool.name;
    if (options.choice.kind != ToolChoice::Kind::kNamed || options.choice.name == tool.name)
      chosen.push_back(tool);
  }
  if (chosen.empty())
    return Error{ErrorCode::kInvalidArgument,
                 str_cat(names.tool_choice, " ", options.choice.name,
                         ": must be auto, none, required, or one of ", known)};
  return chosen;
}

// Errors name where the grammar is from.
CompileResult named(CompileResult result, const std::string& name) {
  if (!result.ok()) return result.error().with_context(name);
  return result;
}

// What the calls of an answer may be.
CompileResult compile_calls(constrain::GrammarCache& grammars, const FormOptions& options,
                            const FormNames& names, const constrain::ControlTokens& tokens) {
  G4_ASSIGN_OR_RETURN(const auto chosen, choose(options, names));
  const bool many = options.call_count == constrain::CallCount::kOneOrMore;
  std::string source = many ? "many" : "one";
  for (const constrain::Tool& tool : chosen)
    source += str_cat("\n", tool.name, " ",
                      tool.parameters == nullptr ? "" : json::dump(*tool.parameters));
  return named(
      grammars.get("calls", source,
                   [&] { return constrain::grammar_of_calls(chosen, tokens, options.call_count); }),
      names.tools);
}

// What the content of an answer may be; null: any text.
CompileResult compile_content(constrain::GrammarCache& grammars, const FormOptions& options,
                              const FormNames& names) {
  if (options.schema)
    return named(grammars.get("schema", json::dump(*options.schema),
                              [&] { return constrain::grammar_of_schema(*options.schema, {}); }),
                 names.schema);
  if (options.grammar)
    return named(grammars.get("grammar", *options.grammar,
                              [&] { return constrain::grammar_of_ebnf(*options.grammar); }),
                 names.grammar);
  if (options.regex)
    return named(grammars.get("regex", *options.regex,
                              [&] { return constrain::grammar_of_regex(*options.regex); }),
                 names.regex);
  return CompileResult(nullptr);
}

}  // namespace

Result<std::shared_ptr<const FormTables>> FormCompiler::tables() {
  const std::lock_guard lock(mutex_);
  if (tables_ == nullptr) {
    auto built = std::make_shared<FormTables>();
    built->index = constrain::VocabularyIndex::build(*tokenizer_);
    G4_ASSIGN_OR_RETURN(built->tokens, constrain::ControlTokens::find(*tokenizer_, *built->index));
    tables_ = std::move(built);
  }
  return tables_;
}

Result<AnswerForm> FormCompiler::compile(FormOptions options, const FormNames& names) {
  AnswerForm form;
  if (!options.tools.empty()) {
    form.reads_calls_ = options.choice.kind != ToolChoice::Kind::kNone;
    const auto call = tokenizer_->added_token(constrain::kCallBegin);
    if (!form.reads_calls_ && call) form.suppressed_.push_back(*call);
  }
  G4_ASSIGN_OR_RETURN(auto content, compile_content(grammars_, options, names));
  if (form.reads_calls_ || content != nullptr || options.thinking_budget) {
    auto result = std::make_shared<AnswerForm::Compiled>();
    G4_ASSIGN_OR_RETURN(result->tables, tables());
    AnswerOptions& answer = result->options;
    if (options.thinking_budget) answer.thinking_budget = *options.thinking_budget;
    answer.content = std::move(content);
    if (form.reads_calls_) {
      G4_ASSIGN_OR_RETURN(answer.calls,
                          compile_calls(grammars_, options, names, *result->tables->tokens));
      if (options.choice.kind != ToolChoice::Kind::kAuto) answer.choice = constrain::Calls::kForced;
    }
    form.compiled_ = std::move(result);
  }
  form.tools_ = std::move(options.tools);
  return form;
}

std::shared_ptr<TokenConstraint> AnswerForm::constraint(const AnswerStart& start) const {
  if (compiled_ == nullptr) return nullptr;
  AnswerOptions options = compiled_->options;
  options.thinking = start.thinking ? constrain::Thinking::kOn : constrain::Thinking::kOff;
  options.in_thought = start.in_thought;
  if (start.after_results) options.choice = constrain::Calls::kAuto;
  return std::make_shared<AnswerConstraint>(compiled_->tables->tokens, compiled_->tables->index,
                                            std::move(options));
}

std::shared_ptr<TokenConstraint> AnswerForm::raw_constraint() const {
  if (compiled_ == nullptr || compiled_->options.content == nullptr) return nullptr;
  return std::make_shared<AnswerConstraint>(compiled_->tables->tokens, compiled_->tables->index,
                                            AnswerOptions{.content = compiled_->options.content});
}

}  // namespace gemma4::answer
