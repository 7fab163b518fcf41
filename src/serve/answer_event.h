// An answer as it comes, in the words of no protocol, and the interface of those who write it down
// in one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace gemma4::serve {

struct LogprobEntry {
  int32_t id = 0;
  std::string text;  // of the token; not always UTF-8
  float logprob = 0;
};
struct TokenLogprobs : LogprobEntry {
  std::vector<LogprobEntry> top;  // falling
};

enum class Finish {
  kStop,       // the model ended it
  kStopText,   // a stop string did
  kLength,     // the limit, or the context
  kToolCalls,  // the model ended it with calls
};

// One step of one answer. Every answer ends with one kFinished.
struct AnswerEvent {
  enum class Kind {
    kReasoning,     // `text` is to be appended to the reasoning
    kContent,       // `text` is to be appended to the content
    kCallStarted,   // of the function `text`
    kArguments,     // `text` is to be appended to the JSON text of the call's arguments
    kCallFinished,  // they are complete
    kFinished,
  };
  Kind kind = Kind::kContent;
  int choice = 0;  // which answer, from 0
  std::string text = {};
  int call = 0;              // which of its calls, from 0
  std::string call_id = {};  // of it; letters and digits, the protocol puts its prefix in front
  std::vector<TokenLogprobs> logprobs = {};  // with kContent and kFinished
  Finish finish = Finish::kStop;             // of kFinished
  std::string stop_text = {};                // with Finish::kStopText
};

// Counts of all answers to a request.
struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;      // of them, found in the cache
  int64_t completion_tokens = 0;  // stop tokens not counted
  int64_t reasoning_tokens = 0;   // of them, in thoughts with their markers
  double load_seconds = 0;        // until the first step: parsing, media, waiting
  double prompt_seconds = 0;      // from then to the first token
  double generate_seconds = 0;    // from the first token to the last
};

// What a writer says about the answer besides its events.
struct AnswerHead {
  std::string id;       // 24 letters and digits
  std::string model;    // as it is called here
  int64_t created = 0;  // seconds since 1970
  int64_t prompt_tokens = 0;
};

// Writes one answer in a protocol. Pure: text out of events.
class StreamWriter {
 public:
  virtual ~StreamWriter() = default;
  virtual std::string begin() = 0;
  virtual std::string write(const AnswerEvent& event) = 0;
  // After the kFinished of all answers.
  virtual std::string end(const Usage& usage) = 0;
  // Instead of it: the answer cannot be completed.
  virtual std::string fail(const Error& error) = 0;
};

// An answer put together, for clients that do not stream.
struct WholeCall {
  std::string id, name, arguments;  // arguments: JSON text
};
struct WholeAnswer {
  std::string content, reasoning;
  std::vector<WholeCall> calls;
  std::vector<TokenLogprobs> logprobs;
  Finish finish = Finish::kStop;
  std::string stop_text;

  void add(const AnswerEvent& event);
};

}  // namespace gemma4::serve
