// gemma4 serve: the HTTP server. Where it is not built in, the command says so.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/option_checks.h"
#include "apps/options.h"
#include "apps/server_run.h"
#include "base/duration.h"

namespace gemma4::apps {
namespace {

void add_http_arguments(CLI::App& command, ServerArguments& arguments) {
  command.add_option("--host", arguments.host, "Address to listen on")->capture_default_str();
  command.add_option("--port", arguments.port, "Port to listen on; 0: one that is free")
      ->capture_default_str()
      ->check(whole_number(0, 65535));
  auto* const certificate =
      command
          .add_option("--tls-cert", arguments.tls_certificate,
                      "Speak TLS: PEM file of the server's certificate, with those that sign it; "
                      "it and the key are read again when they change")
          ->check(not_empty());
  auto* const key = command
                        .add_option("--tls-key", arguments.tls_key,
                                    "PEM file of the certificate's key, without a pass phrase")
                        ->check(not_empty());
  certificate->needs(key);
  key->needs(certificate);
  command
      .add_option("--api-keys", arguments.api_keys,
                  "File of API keys, one a line, with their limits; read again when it changes "
                  "(default: anyone may ask)")
      ->check(not_empty());
  command
      .add_option("--cors", arguments.cors_origins,
                  "Origin whose pages may call the server, or *; may be repeated")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command.add_flag_callback(
      "--no-page", [&arguments] { arguments.page = false; }, "Leave out the page at /");
  command
      .add_option("--max-body", arguments.max_body_megabytes, "Largest body of a request, in MB")
      ->capture_default_str()
      ->check(whole_number(1, 4096));
  command.add_option("--max-connections", arguments.max_connections, "Most connections at a time")
      ->capture_default_str()
      ->check(whole_number(1, 1'000'000));
  command
      .add_option("--keep-responses", arguments.keep_responses,
                  "Responses of /v1/responses that clients can come back to; the oldest give way "
                  "(0: none is kept)")
      ->capture_default_str()
      ->check(whole_number(0, 1'000'000));
  command
      .add_option("--uploads", arguments.uploads_megabytes,
                  "Most that files sent to /v1/files may hold in memory, in MB; they are kept for "
                  "a day (0: none is taken)")
      ->capture_default_str()
      ->check(whole_number(0, 1'000'000));
  command
      .add_option("--media-host", arguments.media_hosts,
                  "Host that pictures, sounds and films may be read from when a request names "
                  "their address: images.example.org, *.example.org or *; never from private "
                  "addresses; may be repeated (default: none)")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->check(not_empty());
  command
      .add_option(
          "--drain", arguments.drain_seconds,
          "Seconds that running answers get at SIGTERM or Ctrl-C; a second signal ends them")
      ->capture_default_str()
      ->check(whole_number(0, 86400));
}

}  // namespace

Command add_serve(CLI::App& app) {
  auto* command = app.add_subcommand(
      "serve", "Answer over HTTP, as the APIs of OpenAI, Anthropic and Ollama do");
  const auto arguments = std::make_shared<ServerArguments>();
  command->add_option("MODEL", arguments->models,
                      "Checkpoint folders or GGUF files (default: the demo model); the first "
                      "answers requests that name none");
  command
      ->add_option("--name", arguments->names,
                   "What requests call a model, in the models' order; may be repeated (default: "
                   "the name of its folder or file)")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->check(not_empty());
  command
      ->add_option("--routes", arguments->routes,
                   "JSON file of names that stand for models, each with rules by which a request "
                   "goes to a model in here or to another server (docs/serving.md)")
      ->check(not_empty());
  command->add_flag("--any-model", arguments->any_model,
                    "Requests for models that are not there get the first");
  add_http_arguments(*command, *arguments);
  command
      ->add_option("--max-sequences", arguments->max_sequences,
                   "Answers generated at the same time")
      ->capture_default_str()
      ->check(whole_number(1, 4096));
  command
      ->add_option("--max-waiting", arguments->max_waiting,
                   "Answers that may wait for their turn; more are told to come back (503)")
      ->capture_default_str()
      ->check(whole_number(0, 1'000'000));
  command
      ->add_option("--cache-dir", arguments->cache_dir,
                   "Folder in which beginnings of prompts are kept, for the next start (default: "
                   "none). It has what was asked and answered, as tokens")
      ->check(not_empty());
  command
      ->add_option("--cache-dir-size", arguments->cache_dir_megabytes,
                   "Most that --cache-dir may hold, in MB; the oldest files are removed")
      ->capture_default_str()
      ->check(whole_number(1, 100'000'000));
  command
      ->add_option_function<std::string>(
          "--idle-unload",
          [&arguments = *arguments](const std::string& text) {
            arguments.idle_unload = parse_duration(text);
          },
          "Give back the memory of a model that nobody has used for so long (90s, 10m, 1h30m); the "
          "next request loads it again. Ollama's keep_alive may say otherwise then (default: "
          "models stay)")
      ->check(duration());
  add_media_arguments(*command, arguments->media);
  add_projector_argument(*command, arguments->projector);
  add_engine_arguments(*command, arguments->engine);
  return [arguments] { return exit_code(run_server(*arguments)); };
}

}  // namespace gemma4::apps
