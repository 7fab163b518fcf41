// A model of the server, loaded or not: given back when nobody has used it for a while, and loaded
// again for who asks next.
//
//   ModelSlot slot(std::move(model), ModelSlot::IdleUnload{.after = minutes(10), .load = load});
//   if (const ModelLease lease = slot.lease()) return use(*lease);  // it is loaded
//   slot.load({}, [](Result<ModelLease> loaded) { … });             // later, on another thread
//
// Any thread may use it. See docs/adr/0055-idle-unload.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "serve/keep_alive.h"
#include "serve/served_model.h"

namespace gemma4::serve {

// As long as somebody has one, the model stays. May be let go of on any thread, and after the slot
// is gone.
using ModelLease = std::shared_ptr<ServedModel>;

class ModelSlot {
 public:
  struct IdleUnload {
    KeepAlive after;  // since the last lease was let go of; requests may say otherwise
    std::function<Result<std::unique_ptr<ServedModel>>()> load;
  };
  // Without `unload` the model stays for ever.
  explicit ModelSlot(std::unique_ptr<ServedModel> model, std::optional<IdleUnload> unload = {});
  // Like close(), but waits for what is being loaded.
  ~ModelSlot();
  ModelSlot(const ModelSlot&) = delete;
  ModelSlot& operator=(const ModelSlot&) = delete;

  const ModelFacts& facts() const { return facts_; }
  const std::string& name() const { return facts_.name; }
  bool unloads() const { return unload_.has_value(); }

  // Null where the model is not loaded. `keep` says how long it stays afterwards, until another
  // lease says something else or it is loaded again; of a slot that unloads.
  ModelLease lease(std::optional<KeepAlive> keep = {});
  // Loads the model for `then`, once for all who wait, who are told on the slot's thread and must
  // be quick; where it is loaded `then` is called at once. kUnavailable: it could not be loaded,
  // which the log has the reason of, or end() was called.
  using Taker = std::function<void(Result<ModelLease>)>;
  void load(std::optional<KeepAlive> keep, Taker then);
  // The model is given back as soon as nobody has a lease; of a slot that unloads.
  void expire();
  // How long the model stays if nobody uses it from now on; nothing where it is not loaded.
  std::optional<KeepAlive> remaining() const;

  // Counts of the source go on over loads. What waits for the model to be loaded is waiting.
  struct Stats : TokenSource::Stats {
    bool is_loaded = false;
    int64_t loads = 0, unloads = 0, failed_loads = 0;  // the first load, at the start, left out
  };
  Stats stats() const;

  // Answers under way end with an error, nobody gets a lease any more.
  void end();
  // After it: gives the model back, and nothing is loaded any more. False: there is one being
  // loaded, which cannot be broken off and has nothing to save.
  bool close();

 private:
  struct State;  // that leases refer to
  ModelLease lease_of(ServedModel* model) const;
  void run();
  void finish();

  const ModelFacts facts_;
  const std::optional<IdleUnload> unload_;
  const std::shared_ptr<State> state_;
  std::thread keeper_;  // loads and gives back; only where the model is not kept for ever
};

}  // namespace gemma4::serve
