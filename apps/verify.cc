// gemma4 verify: proves on this machine that this build agrees with the reference.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/json_output.h"
#include "apps/model_source.h"
#include "apps/option_checks.h"
#include "apps/options.h"
#include "apps/verify_audio.h"
#include "apps/verify_image.h"
#include "apps/verify_text.h"
#include "base/strings.h"
#include "chat/verify_cases.h"
#include "io/gguf_parts.h"
#include "io/mapped_file.h"
#include "text/tokenizer.h"
#include "text/verify_cases.h"

namespace gemma4::apps {
namespace {

struct Arguments {
  std::string model;
  std::string projector;
  std::string golden;
  std::string tokenizer;
  std::string cases;
  std::string chat_cases;
  std::string tool_cases;
  std::string sounds;                            // golden features to check instead
  std::string pictures;                          // golden sizes and pixels to check instead
  std::string inputs;                            // of the goldens: image/, audio/
  DeviceArguments device{.activations = "f32"};  // this command is about exactness
  std::string kv_type;
  std::string quantize;
  VerifyOptions options;
  bool json = false;
};

std::string verdict(const KeyResult& result) {
  if (!result.computed) return "not computed: " + result.problem;
  if (result.passed() && result.ties > 0)
    return str_cat("ok but for ", result.ties, result.ties == 1 ? " tie" : " ties");
  return result.passed() ? "ok" : "FAILED";
}

void print_table(const std::vector<KeyResult>& results) {
  std::printf("%-24s %-18s %12s %12s  %s\n", "key", "shape", "rel. error", "tolerance", "verdict");
  for (const KeyResult& result : results) {
    const std::string error = !result.computed ? "-"
                              : result.exact   ? (result.passed() ? "identical" : "different")
                                               : str_cat(static_cast<float>(result.relative_error));
    char number[32];
    std::snprintf(number, sizeof number, "%.2e", result.relative_error);
    std::printf(
        "%-24s %-18s %12s %12s  %s\n", result.key.c_str(), io::shape_string(result.shape).c_str(),
        result.computed && !result.exact ? number : error.c_str(),
        result.exact ? "identical" : str_cat(result.tolerance).c_str(), verdict(result).c_str());
  }
}

void print_json(const std::vector<KeyResult>& results) {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const KeyResult& result : results) {
    nlohmann::ordered_json entry = {{"key", result.key},
                                    {"shape", result.shape},
                                    {"computed", result.computed},
                                    {"passed", result.passed()}};
    if (result.computed) entry["relative_error"] = result.relative_error;
    if (result.ties > 0) entry["ties"] = result.ties;
    if (!result.problem.empty()) entry["problem"] = result.problem;
    keys.push_back(entry);
  }
  write_json({{"keys", keys}});
}

// Whether all keys passed.
bool report(const std::vector<KeyResult>& results, bool as_json) {
  int64_t passed = 0;
  for (const KeyResult& result : results) passed += result.passed() ? 1 : 0;
  if (as_json) {
    print_json(results);
  } else {
    print_table(results);
    std::printf("%lld of %zu keys agree with the reference\n", static_cast<long long>(passed),
                results.size());
  }
  return passed == static_cast<int64_t>(results.size());
}

Result<bool> verify_model(const Arguments& arguments) {
  VerifyOptions options = arguments.options;
  G4_ASSIGN_OR_RETURN(const std::string path, resolve_model(arguments.model));
  if (arguments.golden.empty() && io::is_gguf_path(path))
    return Error{ErrorCode::kInvalidArgument,
                 path + ": name the golden file that the model belongs to with --golden"};
  G4_ASSIGN_OR_RETURN(auto device, open_device(arguments.device, arguments.options.num_threads));
  options.kv_type = kv_type_of(arguments.kv_type, device->kv_type());
  G4_ASSIGN_OR_RETURN(model::Model loaded,
                      open_model(path, std::move(device),
                                 {arguments.quantize, projector_choice(arguments.projector)}));
  const std::string golden_path =
      arguments.golden.empty() ? path + "/golden.safetensors" : arguments.golden;
  auto opened = io::TensorStore::open(golden_path);
  if (!opened.ok() && opened.error().code == ErrorCode::kNotFound)
    return Error{ErrorCode::kNotFound,
                 golden_path + ": no such golden file; name one with --golden"};
  G4_ASSIGN_OR_RETURN(const io::TensorStore golden, std::move(opened));
  if (const std::string& note = loaded.projector().note; !note.empty())
    std::fprintf(stderr, "gemma4: note: %s\n", note.c_str());
  // The folder of a model's golden stands beside the pictures and sounds that it was made with.
  std::error_code ignored;
  const std::filesystem::path inputs =
      arguments.inputs.empty()
          ? std::filesystem::absolute(golden_path, ignored).parent_path().parent_path()
          : std::filesystem::path(arguments.inputs);
  options.sounds = inputs / "audio";
  options.pictures = inputs / "image";
  const auto shared = std::make_shared<const model::Model>(std::move(loaded));
  G4_ASSIGN_OR_RETURN(const auto results, verify_golden(shared, golden, options));
  return report(results, arguments.json);
}

Result<bool> verify_tokenizer(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, text::Tokenizer::load(arguments.tokenizer));
  G4_ASSIGN_OR_RETURN(const std::string cases, io::read_file(arguments.cases));
  G4_ASSIGN_OR_RETURN(const text::VerifyReport report,
                      text::verify_tokenizer_cases(tokenizer, cases));
  for (const std::string& failure : report.failures) std::printf("%s\n", failure.c_str());
  std::printf("%d of %d encoding cases and %d of %d decoding cases agree", report.encode_passed,
              report.encode_passed + report.encode_failed, report.decode_passed,
              report.decode_passed + report.decode_failed);
  if (report.decode_skipped > 0)
    std::printf(" (%d are for another vocabulary)", report.decode_skipped);
  std::printf("\n");
  return report.ok();
}

void print_case_report(const chat::CaseReport& report) {
  for (const auto& [name, difference] : report.failures)
    std::printf("FAILED %s: %s\n", name.c_str(), difference.c_str());
  std::printf("%d of %d cases pass\n", report.num_passed(), report.num_cases);
}

void print_case_report_json(const chat::CaseReport& report) {
  nlohmann::ordered_json failures = nlohmann::ordered_json::array();
  for (const auto& [name, difference] : report.failures)
    failures.push_back({{"name", name}, {"difference", difference}});
  write_json(
      {{"cases", report.num_cases}, {"passed", report.num_passed()}, {"failures", failures}});
}

Result<bool> verify_cases(const Arguments& arguments) {
  const bool is_chat = !arguments.chat_cases.empty();
  const std::string& path = is_chat ? arguments.chat_cases : arguments.tool_cases;
  G4_ASSIGN_OR_RETURN(const std::string cases, io::read_file(path));
  const Result<chat::CaseReport> report =
      is_chat ? chat::verify_chat_cases(cases) : chat::verify_tool_cases(cases);
  if (!report.ok()) return report.error().with_context(path);
  if (arguments.json) {
    print_case_report_json(report.value());
  } else {
    print_case_report(report.value());
  }
  return report.value().failures.empty();
}

Result<bool> verify_sounds(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::vector<KeyResult> results, verify_features(arguments.sounds));
  return report(results, arguments.json);
}

Result<bool> verify_images(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::vector<KeyResult> results, verify_pictures(arguments.pictures));
  return report(results, arguments.json);
}

int run(const Arguments& arguments) {
  const bool has_cases = !arguments.chat_cases.empty() || !arguments.tool_cases.empty();
  const Result<bool> result = has_cases                     ? verify_cases(arguments)
                              : !arguments.sounds.empty()   ? verify_sounds(arguments)
                              : !arguments.pictures.empty() ? verify_images(arguments)
                              : arguments.tokenizer.empty() ? verify_model(arguments)
                                                            : verify_tokenizer(arguments);
  if (!result.ok()) return fail(result.error());
  if (result.value()) return kSuccess;
  return fail({ErrorCode::kInvalidData, "this build does not agree with all of the reference"});
}

}  // namespace

Command add_verify(CLI::App& app) {
  auto* command = app.add_subcommand("verify", "Prove that this build agrees with the reference");
  auto arguments = std::make_shared<Arguments>();
  add_model_argument(*command, arguments->model);
  add_projector_argument(*command, arguments->projector);
  command->add_option("--golden", arguments->golden,
                      "Golden file (default: golden.safetensors in the model's folder)");
  command
      ->add_option("--keys", arguments->options.keys,
                   "Only keys that match this pattern, e.g. 'text.*'")
      ->capture_default_str();
  command->add_option("--tolerance", arguments->options.tolerance, "Largest relative error")
      ->capture_default_str()
      ->check(number("above 0", [](double v) { return v > 0; }));
  add_device_arguments(*command, arguments->device);
  add_kv_type_argument(*command, arguments->kv_type, "f32");
  add_quantize_argument(*command, arguments->quantize);
  add_threads_argument(*command, arguments->options.num_threads);
  auto* tokenizer =
      command->add_option("--tokenizer", arguments->tokenizer,
                          "Check this tokenizer.json or GGUF vocabulary instead, against --cases");
  auto* cases = command->add_option("--cases", arguments->cases, "Case file for --tokenizer");
  tokenizer->needs(cases);
  cases->needs(tokenizer);
  auto* chat_cases =
      command->add_option("--chat-cases", arguments->chat_cases,
                          "Check the chat format instead, against this file of prompts");
  auto* tool_cases = command->add_option(
      "--tool-cases", arguments->tool_cases,
      "Check the reading of answers and tool calls instead, against this file of outputs");
  chat_cases->excludes(tool_cases)->excludes(tokenizer);
  tool_cases->excludes(tokenizer);
  command
      ->add_option("--audio", arguments->sounds,
                   "Check the features of sounds instead, against this golden folder")
      ->excludes(chat_cases)
      ->excludes(tool_cases)
      ->excludes(tokenizer);
  command
      ->add_option("--images", arguments->pictures,
                   "Check sizes and pixels of pictures instead, against this golden folder")
      ->excludes(chat_cases)
      ->excludes(tool_cases)
      ->excludes(tokenizer);
  command->add_option("--inputs", arguments->inputs,
                      "Folder with image/ and audio/, the pictures and sounds behind the keys "
                      "(default: that of the golden file's folder)");
  command->add_flag("--json", arguments->json, "Print JSON");
  return [arguments] { return run(*arguments); };
}

}  // namespace gemma4::apps
