// What the server counts, in the text format of Prometheus.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "serve/answer_event.h"
#include "serve/model_slot.h"

namespace gemma4::serve {

// Any thread may use it.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  void responded(std::string_view route, int status, double seconds);
  void first_token(std::string_view model, double seconds);  // since the request came
  void next_token(std::string_view model, double seconds);   // since the one before
  void answered(std::string_view model, const Usage& usage);
  void cancelled(std::string_view model);

  // The numbers of the model and its engine as they are now.
  void observe(std::string_view model, const ModelSlot::Stats& stats);
  std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace gemma4::serve
