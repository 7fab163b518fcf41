// One request and its answer. All of it may be called from any thread; what is called first takes
// effect first.
//
//   void hello(std::shared_ptr<Exchange> exchange) {
//     exchange->reply({.body = R"({"hello":"world"})"});
//   }
#pragma once

#include <functional>
#include <string>

#include "http/message.h"

namespace gemma4::http {

class Exchange {
 public:
  virtual ~Exchange() = default;

  // Stays as it is until the exchange goes; of the body, one may take_body().
  virtual const Request& request() const = 0;
  virtual std::string take_body() = 0;

  // The whole answer. Ends the exchange.
  virtual void reply(Response response) = 0;

  // An answer in pieces: `head`, whose body is the first piece, then any number of pieces, then its
  // end. Pieces that wait are joined; a client that lets more wait than the server's limit is cut
  // off like one that went away.
  virtual void begin_stream(Response head) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end_stream() = 0;

  // `gone` is called once, through post(), if the client goes away before the answer is complete;
  // at once if it has. It is let go when the exchange has ended.
  virtual void on_gone(std::function<void()> gone) = 0;

  // Runs `work` soon, on the thread of this connection, never two at a time.
  virtual void post(std::function<void()> work) = 0;
  // Runs `work`, which may take its time, on a thread of those that handle requests: goes on with
  // one whose handler has returned.
  virtual void run_on_worker(std::function<void()> work) = 0;
};

}  // namespace gemma4::http
