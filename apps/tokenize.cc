// gemma4 tokenize: ids and pieces of a text.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/json_output.h"
#include "apps/model_source.h"
#include "apps/prompt_input.h"
#include "base/strings.h"
#include "text/tokenizer.h"

namespace gemma4::apps {
namespace {

struct Arguments {
  std::string model;
  std::string prompt;
  bool plain = false;
  bool ids_only = false;
  bool json = false;
};

// A tokenizer.json or a GGUF vocabulary may be named directly.
Result<text::Tokenizer> find_tokenizer(const std::string& argument) {
  if (argument.ends_with(".json")) return text::Tokenizer::load(argument);
  std::error_code error;
  if (std::filesystem::exists(argument + "/tokenizer.json", error))  // a checkpoint or less
    return load_tokenizer(argument);
  G4_ASSIGN_OR_RETURN(const std::string model, resolve_model(argument));
  return load_tokenizer(model);
}

Status run(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, find_tokenizer(arguments.model));
  G4_ASSIGN_OR_RETURN(const std::string prompt, read_prompt(arguments.prompt));
  const auto ids = tokenizer.encode(prompt, arguments.plain ? text::Tokenizer::AddedTokens::kIgnore
                                                            : text::Tokenizer::AddedTokens::kMatch);
  if (arguments.json) {
    nlohmann::ordered_json tokens = nlohmann::ordered_json::array();
    for (const auto id : ids) tokens.push_back({{"id", id}, {"piece", tokenizer.piece(id)}});
    write_json({{"tokens", tokens}});
  } else if (arguments.ids_only) {
    std::string line;
    for (const auto id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
    std::printf("%s\n", line.c_str());
  } else {
    for (const auto id : ids) std::printf("%7d  %s\n", id, quote(tokenizer.piece(id), 200).c_str());
    std::printf("%zu tokens\n", ids.size());
  }
  return {};
}

}  // namespace

Command add_tokenize(CLI::App& app) {
  auto* command = app.add_subcommand("tokenize", "Show the tokens of a text");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("MODEL", arguments->model,
                      "Checkpoint folder, GGUF file or tokenizer.json (default: the demo model)");
  command->add_option("-p,--prompt", arguments->prompt, "The text; - reads standard input")
      ->required();
  command->add_flag("--plain", arguments->plain,
                    "Encode control tokens spelled in the text as ordinary characters");
  command->add_flag("--ids", arguments->ids_only, "Print the ids on one line");
  command->add_flag("--json", arguments->json, "Print JSON");
  return [arguments] { return exit_code(run(*arguments)); };
}

}  // namespace gemma4::apps
