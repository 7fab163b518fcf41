// gemma4 bench: prompt and generation speed at depths and batch sizes, beside what the machine's
// memory and arithmetic allow.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "apps/bench_report.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/memory_bandwidth.h"
#include "apps/model_source.h"
#include "apps/option_checks.h"
#include "apps/options.h"
#include "base/strings.h"
#include "kernels/peaks.h"

namespace gemma4::apps {
namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string model;
  std::vector<int64_t> prompts = {512};
  std::vector<int64_t> depths = {0};
  std::vector<int64_t> batches = {1};
  int64_t generate = 64;
  int repeats = 3;
  bool json = false;
  bool profile = false;
  EngineArguments engine;
};

// Random ordinary ids: the values of the activations do not change the work.
std::vector<int32_t> random_ids(int64_t count, int64_t vocab_size, uint64_t seed) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<int32_t>(engine::uniform(seed, static_cast<uint64_t>(i)) *
                                       static_cast<double>(vocab_size)));
  return ids;
}

// Bytes per second that reading weights can reach: reads on the CPU, reads and writes of a copy on
// a card.
Result<double> measure_bandwidth(kernels::Device* device) {
  if (device->is_host()) return measure_read_bandwidth(*device->queue().pool).best;
  constexpr size_t kBytes = size_t{1} << 30;
  constexpr int kCopies = 10;
  G4_ASSIGN_OR_RETURN(const auto from, device->allocate(kBytes));
  G4_ASSIGN_OR_RETURN(const auto to, device->allocate(kBytes));
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    G4_RETURN_IF_ERROR(device->finish());
    const auto start = Clock::now();
    for (int n = 0; n < kCopies; ++n) device->copy(to.get(), from.get(), kBytes);
    G4_RETURN_IF_ERROR(device->finish());
    best = std::max(
        best, 2.0 * kCopies * kBytes / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

class Bench {
 public:
  Bench(std::shared_ptr<const model::Model> model, const Arguments& arguments)
      : model_(std::move(model)), arguments_(arguments) {}

  Status run() {
    for (const int64_t prompt : arguments_.prompts)
      if (prompt > 0) G4_RETURN_IF_ERROR(measure({.test = "prompt", .tokens = prompt}));
    if (arguments_.generate < 2) return {};
    for (const int64_t depth : arguments_.depths)
      for (const int64_t batch : arguments_.batches)
        G4_RETURN_IF_ERROR(measure(
            {.test = "generate", .tokens = arguments_.generate, .depth = depth, .batch = batch}));
    return {};
  }
  const std::vector<BenchRow>& rows() const { return rows_; }
  const engine::Engine* engine() const { return engine_.get(); }

 private:
  Status measure(BenchRow row) {
    const bool is_prompt = row.test == "prompt";
    const int64_t prompt = is_prompt ? row.tokens : std::max<int64_t>(row.depth, 1);
    G4_ASSIGN_OR_RETURN(engine::EngineOptions options, engine_options(arguments_.engine, *model_));
    options.max_sequences = row.batch;
    options.prefix_cache = false;  // repeats are to compute the same again
    options.chunk_tokens = std::max<int64_t>(options.chunk_tokens, 2 * row.batch);
    options.context_tokens =
        prompt + (is_prompt ? 0 : row.tokens + prompt_steps(row, options.chunk_tokens)) + 2;
    engine_.reset();
    G4_ASSIGN_OR_RETURN(engine_, engine::Engine::create(model_, options));
    if (is_prompt)
      row.operations = static_cast<double>(model_->prompt_operations(prompt));
    else
      row.bytes_per_step = bytes_per_step(row);
    double bandwidth = 0;                               // after the run before
    for (int i = 0; i < arguments_.repeats + 1; ++i) {  // the first warms the page cache up
      G4_ASSIGN_OR_RETURN(const double speed,
                          is_prompt ? time_prompt(prompt) : time_generate(prompt, row));
      const double before = std::exchange(bandwidth, is_prompt ? 0 : current_bandwidth());
      if (i > 0) {
        row.speeds.push_back(speed);
        if (before > 0 && bandwidth > 0)
          row.bandwidth_shares.push_back(row.bytes_per_step * speed /
                                         static_cast<double>(row.batch) /
                                         std::midpoint(before, bandwidth));
      }
      if (interrupt_.interrupted()) return Error{ErrorCode::kCancelled, "interrupted"};
    }
    std::sort(row.speeds.begin(), row.speeds.end());
    if (arguments_.profile) G4_RETURN_IF_ERROR(profile(row, prompt));
    row.memory = resident_memory();
    rows_.push_back(row);
    return {};
  }

  // The memory of a machine that others use, too, is twice as fast in one second as in the next.
  double current_bandwidth() const {
    const auto& device = engine_->shared_device();
    return device->is_host() ? measure_read_bandwidth(*device->queue().pool).mean : 0;
  }

  Status profile(BenchRow& row, int64_t prompt) {
    const bool is_prompt = row.test == "prompt";
    watched_ = &row.profile;
    const Result<double> speed = is_prompt ? time_prompt(prompt) : time_generate(prompt, row);
    watched_ = nullptr;
    if (!speed.ok()) return speed.error();
    row.profile_seconds = static_cast<double>(row.tokens * row.batch) / speed.value();
    return {};
  }

  Result<engine::SequenceId> submit(int64_t prompt, int64_t max_tokens, uint64_t seed) {
    engine::Request request{.prompt = random_ids(prompt, model_->config().text.vocab_size, seed),
                            .max_tokens = max_tokens};
    request.sampling.temperature = 0;
    return engine_->submit(std::move(request));
  }

  // Number of events of one step.
  Result<int64_t> step() {
    G4_ASSIGN_OR_RETURN(const auto events, engine_->step());
    return static_cast<int64_t>(events.size());
  }

  Result<double> time_prompt(int64_t prompt) {
    G4_ASSIGN_OR_RETURN([[maybe_unused]] const auto id, submit(prompt, 1, 0));
    engine_->watch(watched_);
    const auto start = Clock::now();
    while (engine_->has_work()) G4_RETURN_IF_ERROR(step());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    engine_->watch(nullptr);
    return static_cast<double>(prompt) / seconds;
  }

  // Steps until the last sequence has its first token: prompts go in chunk by chunk, and the
  // sequences that are through generate meanwhile.
  static int64_t prompt_steps(const BenchRow& row, int64_t chunk) {
    const int64_t prompt = std::max<int64_t>(row.depth, 1);
    return row.batch * (prompt / std::max<int64_t>(1, chunk - row.batch) + 2);
  }

  // Timed over row.tokens steps in which every sequence generates one token.
  Result<double> time_generate(int64_t prompt, const BenchRow& row) {
    const int64_t spare = prompt_steps(row, engine_->options().chunk_tokens);
    std::vector<engine::SequenceId> sequences;
    for (int64_t i = 0; i < row.batch; ++i) {
      G4_ASSIGN_OR_RETURN(const auto id,
                          submit(prompt, row.tokens + spare, static_cast<uint64_t>(i)));
      sequences.push_back(id);
    }
    for (int64_t events = 0; events < row.batch;) {
      G4_ASSIGN_OR_RETURN(events, step());
    }
    engine_->watch(watched_);
    const auto start = Clock::now();
    for (int64_t i = 0; i < row.tokens; ++i) G4_RETURN_IF_ERROR(step());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    engine_->watch(nullptr);
    for (const engine::SequenceId id : sequences) engine_->cancel(id);
    while (engine_->has_work()) G4_RETURN_IF_ERROR(step());
    return static_cast<double>(row.tokens * row.batch) / seconds;
  }

  double bytes_per_step(const BenchRow& row) const {
    const model::TextConfig& text = model_->config().text;
    double bytes = static_cast<double>(model_->bytes_per_token());
    const DType kv_type = engine_->options().kv_type;
    // Every layer reads its own or its donor's keys and values.
    for (const auto& plan : model::plan_layers(text)) {
      const double seen = static_cast<double>(row.depth) + static_cast<double>(row.tokens) / 2;
      const double keys = plan.kind == model::AttentionKind::kSliding
                              ? std::min(seen, static_cast<double>(text.sliding_window))
                              : seen;
      const int64_t row_of_keys = plan.num_kv_heads * row_bytes(kv_type, plan.head_dim);
      bytes += 2 * keys * static_cast<double>(row_of_keys * row.batch);
    }
    return bytes;
  }

  std::shared_ptr<const model::Model> model_;
  const Arguments& arguments_;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<BenchRow> rows_;
  ops::Profile* watched_ = nullptr;
  InterruptGuard interrupt_;
};

Status run(const Arguments& arguments) {
  G4_ASSIGN_OR_RETURN(const std::string path, resolve_model(arguments.model));
  G4_ASSIGN_OR_RETURN(const auto device,
                      open_device(arguments.engine.device, arguments.engine.threads));
  Roofline roofline;
  G4_ASSIGN_OR_RETURN(roofline.bandwidth, measure_bandwidth(device.get()));
  G4_ASSIGN_OR_RETURN(
      model::Model loaded,
      open_model(path, device, {arguments.engine.quantize, projector_choice("none")}));
  const auto model = std::make_shared<const model::Model>(std::move(loaded));
  if (device->is_host()) {
    const kernels::Peaks peaks = kernels::measure_peaks(*device->queue().pool);
    const bool quantised = model->weights().layers.front().mlp.gate_proj.weight.packed != nullptr;
    roofline.operations = quantised ? peaks.int8 : peaks.float32;
  }
  Bench bench(model, arguments);
  G4_RETURN_IF_ERROR(bench.run());
  if (bench.engine() == nullptr)
    return Error{ErrorCode::kInvalidArgument, "nothing to measure: give -p or -n above 1"};
  if (arguments.json) {
    print_json(bench.rows(), arguments.model, *bench.engine(), roofline);
    return {};
  }
  std::printf("%s: %s per token, %s, memory reads at %s/s", path.c_str(),
              human_bytes(model->bytes_per_token()).c_str(),
              bench.engine()->device().name().c_str(),
              human_bytes(static_cast<uint64_t>(roofline.bandwidth)).c_str());
  if (roofline.operations > 0)
    std::printf(", products at most %s GOP/s", fixed(1e-9 * roofline.operations, 0).c_str());
  std::printf("\n");
  print_table(bench.rows(), roofline);
  for (const BenchRow& row : bench.rows()) print_profile(row);
  return {};
}

}  // namespace

Command add_bench(CLI::App& app) {
  auto* command = app.add_subcommand("bench", "Measure prompt and generation speed");
  auto arguments = std::make_shared<Arguments>();
  add_model_argument(*command, arguments->model);
  command->add_option("-p,--prompts", arguments->prompts, "Prompt lengths, e.g. 512,2048; 0 = none")
      ->delimiter(',')
      ->capture_default_str()
      ->check(whole_number(0, 1 << 20));
  command
      ->add_option("-n,--generate", arguments->generate,
                   "Tokens that each sequence generates; 0 = none")
      ->capture_default_str()
      ->check(whole_number(0, 1 << 20));
  command->add_option("-d,--depths", arguments->depths, "Cached tokens before the generation")
      ->delimiter(',')
      ->capture_default_str()
      ->check(whole_number(0, 1 << 20));
  command->add_option("-b,--batches", arguments->batches, "Sequences at once")
      ->delimiter(',')
      ->capture_default_str()
      ->check(whole_number(1, 4096));
  command->add_option("-t,--threads", arguments->engine.threads, "Threads (default: one per core)")
      ->check(whole_number(1, 1024));
  command->add_option("-r,--repeats", arguments->repeats, "Runs of each test; the median counts")
      ->capture_default_str()
      ->check(whole_number(1, 1000));
  add_device_arguments(*command, arguments->engine.device);
  add_kv_type_argument(*command, arguments->engine.kv_type);
  add_quantize_argument(*command, arguments->engine.quantize);
  command->add_flag("--profile", arguments->profile,
                    "Run each test once more and show the time of every kernel");
  command->add_flag("--json", arguments->json, "Print JSON");
  return [arguments] { return exit_code(run(*arguments)); };
}

}  // namespace gemma4::apps
