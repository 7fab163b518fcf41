// What `gemma4 serve` runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/options.h"
#include "base/result.h"

namespace gemma4::apps {

struct ServerArguments {
  std::vector<std::string> models;  // none: the demo model
  std::vector<std::string> names;   // of the first of them; the others are called by their files
  bool any_model = false;
  std::string host = "127.0.0.1";
  int port = 8080;
  std::string tls_certificate, tls_key;  // PEM files; both or none
  std::string api_keys;                  // file; empty: none
  std::vector<std::string> cors_origins;
  bool page = true;
  int64_t max_body_megabytes = 64;
  int64_t max_connections = 1024;
  std::string routes;  // file; empty: none
  int64_t keep_responses = 4096;
  int64_t uploads_megabytes = 256;
  std::vector<std::string> media_hosts;  // that media are read from
  int64_t drain_seconds = 30;
  std::optional<std::chrono::milliseconds> idle_unload;  // not set: models stay
  int64_t max_sequences = 8;
  int64_t max_waiting = 256;
  MediaArguments media;
  std::string cache_dir;  // prefixes are kept there; empty: nowhere
  int64_t cache_dir_megabytes = 4096;
  std::string projector;
  EngineArguments engine;
};

// Serves until SIGTERM, SIGINT or SIGHUP. kUnsupported where the server is not built in.
Status run_server(const ServerArguments& arguments);

}  // namespace gemma4::apps
