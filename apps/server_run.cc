#include "apps/server_run.h"

#ifdef GEMMA4_SERVER

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "apps/interrupt.h"
#include "apps/model_source.h"
#include "base/strings.h"
#include "engine/engine_thread.h"
#include "engine/memory_plan.h"
#include "http/server.h"
#include "kernels/registry.h"
#include "serve/engine_source.h"
#include "serve/log.h"
#include "serve/prefix_files.h"
#include "serve/service.h"

namespace gemma4::apps {
namespace {

// While others read answers, a prompt takes steps of about this length.
constexpr double kStepSeconds = 0.1;

// "gemma-4-E2B-it" of a folder, "gemma-4-E2B-it-Q4_0" of a file
std::string name_of_path(const std::string& path) {
  const std::filesystem::path file = std::filesystem::path(path).lexically_normal();
  const std::filesystem::path last = file.has_filename() ? file : file.parent_path();
  return last.extension() == ".gguf" ? last.stem().string() : last.filename().string();
}

// Keys and values depend on the files, on how weights and rows are kept, and on the kernels: those
// of another build or machine round differently.
Result<std::shared_ptr<serve::PrefixFiles>> open_prefix_files(
    const ServerArguments& arguments, const answer::LoadedModel& loaded,
    const engine::EngineOptions& options) {
  G4_ASSIGN_OR_RETURN(const std::string files, serve::identity_of_files(loaded.path));
  const kernels::Device* const card = loaded.model->device().get();
  G4_ASSIGN_OR_RETURN(const kernels::Table table, kernels::default_table());
  const std::string identity =
      str_cat("gemma4 ", GEMMA4_VERSION, "\n", files, "quantize ", arguments.engine.quantize,
              "\nkv ", name_of(options.kv_type), "\n",
              card == nullptr ? std::string(table.name) : card->name(), "\n");
  return serve::PrefixFiles::open({.folder = arguments.cache_dir,
                                   .identity = identity,
                                   .max_bytes = arguments.cache_dir_megabytes << 20});
}

// What an engine may come to use of the program's own memory. Weights that are packed for the CPU
// are a copy of those in the file.
uint64_t claim_of(const model::Model& model, const engine::EngineOptions& options) {
  if (model.device() != nullptr && !model.device()->is_host()) return 0;
  const engine::MemoryPlan plan = engine::plan_memory(model, options);
  const bool is_packed = model.weights().layers.front().mlp.gate_proj.weight.packed != nullptr;
  return plan.kv_bytes + plan.workspace_bytes + (is_packed ? plan.weights_bytes : 0);
}

// Adds to `claimed`, what the models before may use, what this one may.
Result<std::unique_ptr<serve::ServedModel>> load(const ServerArguments& arguments,
                                                 const std::string& path, const std::string& name,
                                                 uint64_t& claimed) {
  // Threads are not bound to CPUs: those that talk to clients need their turns, too.
  G4_ASSIGN_OR_RETURN(auto device, open_device(arguments.engine.device, arguments.engine.threads,
                                               ThreadPool::Pinning::kNone));
  serve::ModelParts parts;
  G4_ASSIGN_OR_RETURN(
      parts.loaded, load_model(path, std::move(device),
                               {arguments.engine.quantize, projector_choice(arguments.projector)}));
  const model::Model& model = *parts.loaded.model;
  G4_ASSIGN_OR_RETURN(engine::EngineOptions options, engine_options(arguments.engine, model));
  options.max_sequences = arguments.max_sequences;
  options.prefix_windows = 2 * options.max_sequences;
  options.step_target_seconds = kStepSeconds;
  options.embeddings = true;
  make_room_for_pictures(options, model, 0);  // a request may ask for the most
  options.claimed_bytes = claimed;
  claimed += claim_of(model, options);
  if (!arguments.cache_dir.empty()) {
    G4_ASSIGN_OR_RETURN(options.prefix_archive,
                        open_prefix_files(arguments, parts.loaded, options));
  }
  G4_ASSIGN_OR_RETURN(auto thread, engine::EngineThread::create(parts.loaded.model, options));
  parts.context_tokens = options.context_tokens;
  parts.source = std::make_unique<serve::EngineSource>(std::move(thread));
  if (model.config().vision || model.config().audio) {
    G4_ASSIGN_OR_RETURN(parts.tower_device,
                        kernels::open_cpu_device({.num_threads = arguments.engine.threads}));
  }
  parts.image_budget = arguments.media.image_budget;
  parts.film = arguments.media.film;
  parts.media_limits = arguments.media.limits;
  parts.name = name;
  return serve::ServedModel::create(std::move(parts));
}

void print_notes(const answer::LoadedModel& loaded) {
  for (const std::string& note : {loaded.template_note, loaded.model->projector().note})
    if (!note.empty()) std::fprintf(stderr, "gemma4: note: %s\n", note.c_str());
}

// `arguments` must outlive what is loaded with it.
std::optional<serve::ModelSlot::IdleUnload> unload_of(const ServerArguments& arguments,
                                                      const std::string& path,
                                                      const std::string& name) {
  if (!arguments.idle_unload) return std::nullopt;
  return serve::ModelSlot::IdleUnload{.after = *arguments.idle_unload,
                                      .load = [&arguments, path, name] {
                                        // That all models fit together was seen at the start. What
                                        // the others have touched of their memory since is not free
                                        // any more, and would be counted twice.
                                        uint64_t claimed = 0;
                                        return load(arguments, path, name, claimed);
                                      }};
}

Result<std::vector<std::unique_ptr<serve::ModelSlot>>> load_all(const ServerArguments& arguments,
                                                                const serve::Routes& routes) {
  std::vector<std::string> models = arguments.models;
  if (models.empty()) models.emplace_back();
  if (arguments.names.size() > models.size())
    return Error{ErrorCode::kInvalidArgument, str_cat("--name: there are ", arguments.names.size(),
                                                      " names and ", models.size(), " models")};
  // Names first: loading may take minutes.
  std::vector<std::string> paths, names;
  for (size_t i = 0; i < models.size(); ++i) {
    G4_ASSIGN_OR_RETURN(std::string path, resolve_model(models[i]));
    std::string name = i < arguments.names.size() ? arguments.names[i] : name_of_path(path);
    if (std::ranges::find(names, name) != names.end())
      return Error{ErrorCode::kInvalidArgument,
                   str_cat("two models are called ", quote(name), "; give them names with --name")};
    paths.push_back(std::move(path));
    names.push_back(std::move(name));
  }
  G4_RETURN_IF_ERROR(routes.check(names));
  std::vector<std::unique_ptr<serve::ModelSlot>> loaded;
  uint64_t claimed = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    auto model = load(arguments, paths[i], names[i], claimed);
    if (!model.ok())
      return paths.size() == 1 ? model.error() : model.error().with_context(names[i]);
    print_notes(model.value()->loaded());
    loaded.push_back(std::make_unique<serve::ModelSlot>(std::move(model).value(),
                                                        unload_of(arguments, paths[i], names[i])));
  }
  return loaded;
}

// Until a signal comes; then until the answers are complete, the time is over, or another comes.
void serve_until_signal(http::Server& server, serve::Service& service, int64_t drain_seconds) {
  constexpr std::chrono::milliseconds kNap(50);
  {
    const InterruptGuard guard;
    while (!guard.interrupted()) std::this_thread::sleep_for(kNap);
  }
  const InterruptGuard again;
  std::fprintf(stderr, "gemma4: shutting down\n");
  service.begin_drain();
  server.begin_drain();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(drain_seconds);
  while (server.num_connections() > 0 && !again.interrupted() &&
         std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(kNap);
  // What is left gets its one ending, an error; for who reads it there is a moment.
  constexpr std::chrono::seconds kToEnd(2);
  service.end_answers();
  server.drain(kToEnd);
}

}  // namespace

Status run_server(const ServerArguments& arguments) {
  http::ServerOptions options{.host = arguments.host,
                              .port = static_cast<uint16_t>(arguments.port),
                              .max_connections = static_cast<size_t>(arguments.max_connections),
                              .max_body_bytes = static_cast<size_t>(arguments.max_body_megabytes)
                                                << 20,
                              .num_workers = 4};
  if (!arguments.tls_certificate.empty())
    options.tls = {.certificate = arguments.tls_certificate,
                   .key = arguments.tls_key,
                   .on_error = [](const Error& error) {
                     serve::log_line(serve::LogLevel::kError,
                                     {{"event", "tls_files"}, {"message", error.message}});
                   }};
  std::unique_ptr<serve::ApiKeys> keys;
  if (!arguments.api_keys.empty()) {
    G4_ASSIGN_OR_RETURN(keys, serve::ApiKeys::load(arguments.api_keys));
  }
  serve::Routes routes;
  if (!arguments.routes.empty()) {
    G4_ASSIGN_OR_RETURN(routes, serve::Routes::load(arguments.routes));
  }
  if (arguments.engine.verbose) serve::log_everything();
  G4_ASSIGN_OR_RETURN(auto models, load_all(arguments, routes));
  std::string names;
  for (const auto& model : models) names += (names.empty() ? "" : ", ") + model->name();
  serve::ServiceOptions service_options{.version = GEMMA4_VERSION,
                                        .max_waiting = arguments.max_waiting,
                                        .any_model = arguments.any_model,
                                        .page = arguments.page,
                                        .cors_origins = arguments.cors_origins,
                                        .http = options,
                                        .routes = std::move(routes)};
  service_options.responses.max_responses = static_cast<size_t>(arguments.keep_responses);
  const auto upload_bytes = static_cast<size_t>(arguments.uploads_megabytes) << 20;
  service_options.uploads.max_bytes = upload_bytes;
  // Nobody may take all the room from others.
  service_options.uploads.max_owner_bytes = keys == nullptr ? upload_bytes : upload_bytes / 4;
  service_options.remote = {.hosts = arguments.media_hosts, .max_bytes = options.max_body_bytes};
  auto service = std::make_unique<serve::Service>(std::move(service_options), std::move(models),
                                                  std::move(keys));
  G4_ASSIGN_OR_RETURN(const auto server, http::Server::start(options, service->handlers()));
  std::printf("serving %s on %s://%s:%d\n", names.c_str(), options.tls ? "https" : "http",
              arguments.host.c_str(), server->port());
  std::fflush(stdout);
  serve_until_signal(*server, *service, arguments.drain_seconds);
  // What is being loaded takes as long as it takes, and nobody waits for it any more.
  if (!service->close()) std::_Exit(0);
  // Before the server: answers that were cut off hold on to their connections until the engine
  // has ended them.
  service.reset();
  return {};
}

}  // namespace gemma4::apps

#else

namespace gemma4::apps {

Status run_server(const ServerArguments&) {
  return Error{
      ErrorCode::kUnsupported,
      "this build has no server; build it with -DGEMMA4_SERVER=ON and Boost's headers "
      "(libboost-dev), libssl-dev, libcurl4-openssl-dev, prometheus-cpp-dev and libspdlog-dev"};
}

}  // namespace gemma4::apps

#endif
