// gemma4 eval: perplexity of a model on a text, and its divergence from another model.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/commands.h"
#include "apps/gguf_output.h"
#include "apps/json_output.h"
#include "apps/model_source.h"
#include "apps/option_checks.h"
#include "apps/options.h"
#include "apps/text_chunks.h"
#include "apps/text_evaluation.h"
#include "apps/text_score.h"
#include "base/strings.h"
#include "io/gguf_parts.h"
#include "model/imatrix.h"
#include "model/imatrix_collector.h"

namespace gemma4::apps {
namespace {

struct Arguments {
  std::string model;
  std::string text;
  std::string baseline;
  std::string imatrix;  // file to write; empty: none
  TextChunks::Options chunks;
  DeviceArguments device;
  std::string quantize;  // MODEL, not the baseline
  std::string kv_type;   // the same
  bool json = false;
  int threads = 0;
};

// exp of a mean of logarithms, with the error that goes with it.
struct Exponential {
  explicit Exponential(const Mean& mean)
      : value(std::exp(mean.value)), standard_error(value * mean.standard_error) {}
  double value;
  double standard_error;
};

struct Comparison {
  Exponential perplexity;  // of the baseline
  Exponential ratio;       // of the model's perplexity to it, by pairs of tokens
  Mean divergence;
  double median, p99, largest;
  double same_best;  // share
};

Comparison compare(TextScores& scores) {
  std::vector<double> differences(scores.nll.size());
  for (size_t i = 0; i < differences.size(); ++i)
    differences[i] = scores.nll[i] - scores.baseline_nll[i];
  return {
      .perplexity = Exponential(mean_of(scores.baseline_nll)),
      .ratio = Exponential(mean_of(differences)),
      .divergence = mean_of(scores.divergence),
      .median = quantile(scores.divergence, 0.5),
      .p99 = quantile(scores.divergence, 0.99),
      .largest = quantile(scores.divergence, 1),
      .same_best = static_cast<double>(scores.same_best) / static_cast<double>(scores.nll.size())};
}

struct Report {
  std::string model, baseline, imatrix;  // paths
  int64_t text_tokens = 0, chunks = 0, chunk_tokens = 0, scored_tokens = 0;
  double seconds = 0;
  Exponential perplexity;
  std::optional<Comparison> comparison;
};

void print_table(const Report& report) {
  std::printf("%s: %s tokens of %s, in %lld chunks of %lld; %s tokens scored in %s s\n",
              report.model.c_str(),
              with_thousands(static_cast<uint64_t>(report.chunks * report.chunk_tokens)).c_str(),
              with_thousands(static_cast<uint64_t>(report.text_tokens)).c_str(),
              static_cast<long long>(report.chunks), static_cast<long long>(report.chunk_tokens),
              with_thousands(static_cast<uint64_t>(report.scored_tokens)).c_str(),
              fixed(report.seconds, 1).c_str());
  std::printf("perplexity             %.4f ± %.4f\n", report.perplexity.value,
              report.perplexity.standard_error);
  if (!report.imatrix.empty()) std::printf("importance matrix      %s\n", report.imatrix.c_str());
  if (!report.comparison) return;
  const Comparison& c = *report.comparison;
  std::printf("of the baseline        %.4f ± %.4f  (%s)\n", c.perplexity.value,
              c.perplexity.standard_error, report.baseline.c_str());
  std::printf("ratio                  %.5f ± %.5f\n", c.ratio.value, c.ratio.standard_error);
  std::printf("KL divergence          %.6f ± %.6f\n", c.divergence.value,
              c.divergence.standard_error);
  std::printf("  median               %.6f\n", c.median);
  std::printf("  99 %%                 %.6f\n", c.p99);
  std::printf("  largest              %.6f\n", c.largest);
  std::printf("same most likely token %.2f %%\n", 100 * c.same_best);
}

void print_json(const Report& report) {
  nlohmann::ordered_json json = {{"model", report.model},
                                 {"text_tokens", report.text_tokens},
                                 {"chunks", report.chunks},
                                 {"chunk_tokens", report.chunk_tokens},
                                 {"scored_tokens", report.scored_tokens},
                                 {"seconds", report.seconds},
                                 {"perplexity", report.perplexity.value},
                                 {"perplexity_error", report.perplexity.standard_error}};
  if (!report.imatrix.empty()) json["imatrix"] = report.imatrix;
  if (report.comparison) {
    const Comparison& c = *report.comparison;
    json["baseline"] = {{"model", report.baseline},
                        {"perplexity", c.perplexity.value},
                        {"perplexity_error", c.perplexity.standard_error},
                        {"perplexity_ratio", c.ratio.value},
                        {"perplexity_ratio_error", c.ratio.standard_error},
                        {"kl_divergence",
                         {{"mean", c.divergence.value},
                          {"mean_error", c.divergence.standard_error},
                          {"median", c.median},
                          {"p99", c.p99},
                          {"max", c.largest}}},
                        {"same_top_token", c.same_best}};
  }
  write_json(json);
}

Status check_same_vocabulary(const LoadedModel& model, const LoadedModel& baseline) {
  const int64_t size = model.model->config().text.vocab_size;
  const int64_t other = baseline.model->config().text.vocab_size;
  if (size != other)
    return Error{ErrorCode::kInvalidArgument,
                 str_cat("--baseline ", baseline.path, ": has ", other, " tokens, ", model.path,
                         " has ", size, "; only models of one vocabulary can be compared")};
  for (int32_t id = 0; id < size; ++id)
    if (model.tokenizer->piece(id) != baseline.tokenizer->piece(id))
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("--baseline ", baseline.path, ": token ", id, " is ",
                           quote(baseline.tokenizer->piece(id)), ", in ", model.path, " it is ",
                           quote(model.tokenizer->piece(id)),
                           "; only models of one vocabulary can be compared")};
  return {};
}

Status check_context(const Arguments& arguments, const LoadedModel& model) {
  const int64_t limit = model.model->config().text.max_position_embeddings;
  if (arguments.chunks.chunk_tokens <= limit) return {};
  return Error{ErrorCode::kInvalidArgument, str_cat("--ctx ", arguments.chunks.chunk_tokens, ": ",
                                                    model.path, " takes up to ", limit, " tokens")};
}

// Where the importance matrix goes; empty without one.
Result<std::string> imatrix_path(const Arguments& arguments) {
  if (arguments.imatrix.empty()) return std::string();
  if (!io::is_gguf_path(arguments.imatrix))
    return Error{ErrorCode::kInvalidArgument, arguments.imatrix + ": the name must end in .gguf"};
  return new_output_path(arguments.imatrix);
}

Status save_imatrix(const model::ImportanceCollector& collector, const Arguments& arguments,
                    const TextChunks& chunks, const std::string& path) {
  namespace fs = std::filesystem;
  model::ImportanceMatrix matrix;
  G4_ASSIGN_OR_RETURN(matrix.entries, collector.entries());
  matrix.datasets = {arguments.text == "-" ? "standard input"
                                           : fs::path(arguments.text).filename().string()};
  matrix.chunk_count = static_cast<uint32_t>(chunks.count());
  matrix.chunk_tokens = static_cast<uint32_t>(chunks.chunk_tokens());
  G4_RETURN_IF_ERROR(matrix.save(path));
  int64_t experts = 0, unseen = 0;
  for (const auto& [name, sums] : matrix.entries) {
    if (sums.num_matrices() < 2) continue;
    experts += sums.num_matrices();
    unseen += std::ranges::count(sums.counts, 0.0f);
  }
  if (unseen > 0)
    std::fprintf(stderr,
                 "gemma4: note: %lld of %lld expert weights saw no token; their columns will "
                 "count alike; a longer text reaches more of them\n",
                 static_cast<long long>(unseen), static_cast<long long>(experts));
  return {};
}

Status run(const Arguments& arguments) {
  using Clock = std::chrono::steady_clock;
  G4_ASSIGN_OR_RETURN(const std::string imatrix, imatrix_path(arguments));
  G4_ASSIGN_OR_RETURN(const std::string text, read_text(arguments.text));
  EvaluatedModels models;
  G4_ASSIGN_OR_RETURN(models.device, open_device(arguments.device, arguments.threads));
  G4_ASSIGN_OR_RETURN(
      const LoadedModel model,
      load_model(arguments.model, models.device, {arguments.quantize, projector_choice("none")}));
  G4_RETURN_IF_ERROR(check_context(arguments, model));
  G4_ASSIGN_OR_RETURN(const TextChunks chunks,
                      TextChunks::cut(text, *model.tokenizer, arguments.chunks));
  models.model = model.model;
  models.kv_type = kv_type_of(arguments.kv_type, models.device->kv_type());
  std::string baseline_path;
  if (!arguments.baseline.empty()) {
    G4_ASSIGN_OR_RETURN(
        const LoadedModel baseline,
        load_model(arguments.baseline, models.device, {.projector = projector_choice("none")}));
    G4_RETURN_IF_ERROR(check_same_vocabulary(model, baseline));
    G4_RETURN_IF_ERROR(check_context(arguments, baseline));
    models.baseline = baseline.model;
    baseline_path = baseline.path;
  }

  std::optional<model::ImportanceCollector> collector;
  if (!imatrix.empty()) models.tape = &collector.emplace(*model.model, *models.device);
  const auto start = Clock::now();
  G4_ASSIGN_OR_RETURN(TextScores scores, score_text(chunks, models));
  if (collector) G4_RETURN_IF_ERROR(save_imatrix(*collector, arguments, chunks, imatrix));
  Report report{.model = model.path,
                .baseline = baseline_path,
                .imatrix = imatrix,
                .text_tokens = chunks.text_tokens(),
                .chunks = chunks.count(),
                .chunk_tokens = chunks.chunk_tokens(),
                .scored_tokens = chunks.scored_tokens(),
                .seconds = std::chrono::duration<double>(Clock::now() - start).count(),
                .perplexity = Exponential(mean_of(scores.nll)),
                .comparison = std::nullopt};
  if (models.baseline != nullptr) report.comparison = compare(scores);
  if (arguments.json) {
    print_json(report);
  } else {
    print_table(report);
  }
  return {};
}

}  // namespace

Command add_eval(CLI::App& app) {
  auto* command = app.add_subcommand(
      "eval", "Measure the perplexity of a text, and the divergence from another model");
  command->footer(
      "The text is cut into chunks of --ctx tokens, each a sequence of its own that begins with\n"
      "<bos>. The first half of a chunk is context, the tokens of the second half are scored.");
  auto arguments = std::make_shared<Arguments>();
  add_model_argument(*command, arguments->model);
  command->add_option("-f,--text", arguments->text, "File with the text; - reads standard input")
      ->required();
  command->add_option("--baseline", arguments->baseline,
                      "Model to compare with: KL divergence of MODEL from it");
  command->add_option(
      "--collect-imatrix", arguments->imatrix,
      "Also gather an importance matrix for quantize --imatrix: GGUF file to write");
  command->add_option("--ctx", arguments->chunks.chunk_tokens, "Tokens of a chunk")
      ->capture_default_str()
      ->check(whole_number(kLeastChunk));
  command
      ->add_option("--chunks", arguments->chunks.most_chunks,
                   "Only so many chunks (default: all that the text fills)")
      ->check(whole_number(1));
  command->add_flag_callback(
      "--parse-special",
      [arguments] { arguments->chunks.added = text::Tokenizer::AddedTokens::kMatch; },
      "Control tokens spelled in the text are control tokens");
  add_device_arguments(*command, arguments->device);
  add_quantize_argument(*command, arguments->quantize);
  add_kv_type_argument(*command, arguments->kv_type, "f32");
  add_threads_argument(*command, arguments->threads);
  command->add_flag("--json", arguments->json, "Print JSON");
  return [arguments] { return exit_code(run(*arguments)); };
}

}  // namespace gemma4::apps
