// Sends requests on to another server, and its answers back piece by piece as they come.
//
//   Relay relay;
//   relay.start({.url = "https://llm.example.org/v1/chat/completions", .body = body}, listener);
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"
#include "http/message.h"

namespace gemma4::http {

class Relay {
 public:
  struct Request {
    std::string url;
    Headers headers = {};
    std::string body = {};  // POSTed
  };
  // Called on a thread of the relay's; `head` once, if an answer comes at all, before its pieces;
  // `end` once, last.
  struct Listener {
    std::function<void(int status, std::string content_type)> head;
    std::function<void(std::string piece)> piece;
    // kUnavailable: no answer came; kIo: it broke off; kCancelled: by `is_gone` or stop().
    std::function<void(Status)> end;
    std::function<bool()> is_gone = [] { return false; };  // asked now and then
  };

  explicit Relay(int max_at_once = 64) : max_at_once_(max_at_once) {}
  // Cuts off what runs, and waits for it.
  ~Relay();

  // Whether it was begun: not where as many run as may.
  bool start(Request request, Listener listener);
  // Cuts off what runs. None begins any more.
  void stop() { is_stopped_ = true; }

 private:
  struct Running {
    std::atomic<bool> is_done = false;
    std::thread thread;
  };
  void join_done();

  const int max_at_once_;
  std::atomic<bool> is_stopped_ = false;
  std::mutex mutex_;
  std::list<Running> running_;
};

}  // namespace gemma4::http
