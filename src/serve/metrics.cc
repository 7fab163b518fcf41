#include "serve/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace gemma4::serve {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

// Seconds. Tokens take from a millisecond to a second, prompts up to minutes.
const Histogram::BucketBoundaries kTokenBuckets = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2.5};
const Histogram::BucketBoundaries kRequestBuckets = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                     2.5,   5,    10,    30,   60,  120,  300};

std::map<std::string, std::string> of_model(std::string_view model) {
  return {{"model", std::string(model)}};
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  Family<Counter>& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Gauge>& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  Family<Histogram>& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  Family<Counter>& http_requests =
      counter("gemma4_http_requests_total", "HTTP requests by route and status.");
  Family<Histogram>& http_seconds = histogram("gemma4_http_request_duration_seconds",
                                              "From a request's body to the end of its answer.");
  Family<Histogram>& ttft = histogram("gemma4_time_to_first_token_seconds",
                                      "From a request's body to the first token of an answer.");
  Family<Histogram>& itl =
      histogram("gemma4_inter_token_latency_seconds", "Between two tokens of an answer.");
  Family<Counter>& prompt_tokens = counter("gemma4_prompt_tokens_total", "Of answered requests.");
  Family<Counter>& generation_tokens =
      counter("gemma4_generation_tokens_total", "Of answered requests.");
  Family<Counter>& answered = counter("gemma4_request_success_total", "Requests answered wholly.");
  Family<Counter>& cancelled =
      counter("gemma4_request_cancelled_total", "Requests whose client went away.");
  Family<Gauge>& running = gauge("gemma4_num_requests_running", "Sequences in the batch.");
  Family<Gauge>& waiting = gauge("gemma4_num_requests_waiting", "Sequences in the queue.");
  Family<Gauge>& kv_usage =
      gauge("gemma4_kv_cache_usage_ratio", "Share of the blocks of keys and values in use.");
  Family<Gauge>& steps = gauge("gemma4_engine_steps", "Steps of the engine so far.");
  Family<Gauge>& step_seconds = gauge("gemma4_engine_step_seconds", "Time in steps so far.");
  Family<Gauge>& computed = gauge("gemma4_engine_computed_tokens",
                                  "Tokens fed to the model so far, of prompts and answers.");
  Family<Gauge>& prefix_queries =
      gauge("gemma4_prefix_cache_queried_tokens", "Prompt tokens so far.");
  Family<Gauge>& prefix_hits =
      gauge("gemma4_prefix_cache_hit_tokens", "Of them, found in the prefix cache.");
  Family<Gauge>& loaded = gauge("gemma4_model_loaded", "Whether the model is loaded: 1, or 0.");
  Family<Gauge>& loads =
      gauge("gemma4_model_loads", "Loads of the model so far, the one at the start left out.");
  Family<Gauge>& failed_loads = gauge("gemma4_model_failed_loads", "Loads that failed so far.");
  Family<Gauge>& unloads =
      gauge("gemma4_model_unloads", "How often the model was given back so far.");
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::responded(std::string_view route, int status, double seconds) {
  families_->http_requests.Add({{"route", std::string(route)}, {"status", std::to_string(status)}})
      .Increment();
  families_->http_seconds.Add({{"route", std::string(route)}}, kRequestBuckets).Observe(seconds);
}

void Metrics::first_token(std::string_view model, double seconds) {
  families_->ttft.Add(of_model(model), kRequestBuckets).Observe(seconds);
}

void Metrics::next_token(std::string_view model, double seconds) {
  families_->itl.Add(of_model(model), kTokenBuckets).Observe(seconds);
}

void Metrics::answered(std::string_view model, const Usage& usage) {
  families_->prompt_tokens.Add(of_model(model)).Increment(static_cast<double>(usage.prompt_tokens));
  families_->generation_tokens.Add(of_model(model))
      .Increment(static_cast<double>(usage.completion_tokens));
  families_->answered.Add(of_model(model)).Increment();
}

void Metrics::cancelled(std::string_view model) {
  families_->cancelled.Add(of_model(model)).Increment();
}

void Metrics::observe(std::string_view model, const ModelSlot::Stats& stats) {
  const auto set = [&](Family<Gauge>& family, double value) {
    family.Add(of_model(model)).Set(value);
  };
  set(families_->running, static_cast<double>(stats.running));
  set(families_->waiting, static_cast<double>(stats.waiting));
  set(families_->kv_usage,
      stats.kv_blocks_total == 0
          ? 0
          : static_cast<double>(stats.kv_blocks_used) / static_cast<double>(stats.kv_blocks_total));
  set(families_->steps, static_cast<double>(stats.steps));
  set(families_->step_seconds, stats.step_seconds_total);
  set(families_->computed, static_cast<double>(stats.computed_tokens));
  set(families_->prefix_queries, static_cast<double>(stats.prompt_tokens));
  set(families_->prefix_hits, static_cast<double>(stats.cached_prompt_tokens));
  set(families_->loaded, stats.is_loaded ? 1 : 0);
  set(families_->loads, static_cast<double>(stats.loads));
  set(families_->failed_loads, static_cast<double>(stats.failed_loads));
  set(families_->unloads, static_cast<double>(stats.unloads));
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace gemma4::serve
