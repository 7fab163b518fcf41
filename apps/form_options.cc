#include "apps/form_options.h"

#include <CLI/CLI.hpp>
#include <string_view>
#include <utility>

#include "apps/option_checks.h"
#include "chat/openai_messages.h"
#include "io/mapped_file.h"

namespace gemma4::apps {
namespace {

using answer::ToolChoice;

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

// A tool may be called like one of the words: "name:auto" is that tool. Names hold no colons.
ToolChoice parse_choice(std::string_view text) {
  constexpr std::string_view kName = "name:";
  if (text == "auto") return {ToolChoice::Kind::kAuto};
  if (text == "none") return {ToolChoice::Kind::kNone};
  if (text == "required") return {ToolChoice::Kind::kRequired};
  if (text.starts_with(kName)) text.remove_prefix(kName.size());
  return {ToolChoice::Kind::kNamed, std::string(text)};
}

}  // namespace

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

Result<answer::AnswerForm> load_form(const AnswerArguments& arguments,
                                     std::shared_ptr<const text::Tokenizer> tokenizer) {
  answer::FormOptions options{.choice = parse_choice(arguments.tool_choice),
                              .thinking_budget = arguments.think_tokens};
  if (!arguments.tools.empty()) {
    G4_ASSIGN_OR_RETURN(options.tools, read_tools(arguments.tools));
    if (arguments.one_call) options.call_count = constrain::CallCount::kOne;
  }
  if (!arguments.schema.empty()) {
    G4_ASSIGN_OR_RETURN(options.schema, read_json(arguments.schema));
  } else if (!arguments.grammar.empty()) {
    G4_ASSIGN_OR_RETURN(options.grammar, io::read_file(arguments.grammar, kMaxFileBytes));
  } else if (!arguments.regex.empty()) {
    options.regex = arguments.regex;
  }
  return answer::FormCompiler(std::move(tokenizer))
      .compile(std::move(options), {.tools = arguments.tools,
                                    .tool_choice = "--tool-choice",
                                    .schema = arguments.schema,
                                    .grammar = arguments.grammar,
                                    .regex = "--regex"});
}

}  // namespace gemma4::apps
