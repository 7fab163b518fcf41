// Runs the real program as a user does: as a process, with standard input, a terminal or limits.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pollfd;

namespace gemma4 {

using Clock = std::chrono::steady_clock;

// A program that takes longer hangs. Scoring a text under a sanitizer beside another test takes
// half a minute.
inline constexpr std::chrono::seconds kHangs(120);

// The likeliest first token again and again, until the context is full. (Not a high temperature:
// one draw in thousands stops the answer or begins a thought, and some runs meet it.)
inline const std::vector<std::string> kEndless = {"--temp", "0", "--frequency-penalty", "-100"};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b);

struct Outcome {
  int exit_code = -1;
  int signal = 0;  // that killed it; 0 = it ended by itself
  bool timed_out = false;
  std::string out;
  std::string err;
};
void PrintTo(const Outcome& outcome, std::ostream* os);  // NOLINT: gtest

// A process with pipes for its standard streams.
class Process {
 public:
  struct Options {
    std::optional<rlim_t> file_size_limit;  // a disk that is full after so many bytes
    std::string stdout_path;                // instead of a pipe
  };

  explicit Process(std::vector<std::string> arguments) : Process(std::move(arguments), Options{}) {}
  Process(std::vector<std::string> arguments, const Options& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void write(std::string_view text);
  void close_input();
  void close_output();
  void send(int signal) const;

  // Reads until `done` is true of what came so far; false when it ended or took too long.
  bool read_until(const std::function<bool(const Outcome&)>& done,
                  std::chrono::seconds limit = kHangs);
  // Closes its input, collects everything, and waits for the end.
  Outcome wait(std::chrono::seconds limit = kHangs);

 private:
  static void drain(const pollfd& file, int& fd, std::string& text);

  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
  Outcome outcome_;
};

Outcome run_program(std::vector<std::string> arguments, std::string_view input = "",
                    const Process::Options& options = {});
// `run` with a seed.
Outcome run_answer(const std::vector<std::string>& options, const std::string& prompt = "Hello!");

// One line, "gemma4: …", and nothing on stdout.
void expect_failed(const Outcome& outcome, const std::string& message);     // exit code 1
void expect_bad_usage(const Outcome& outcome, const std::string& message);  // exit code 2

// A process on a terminal of its own, as a user at the keyboard sees it.
class Terminal {
 public:
  explicit Terminal(std::vector<std::string> arguments);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(std::string_view keys);
  void send(int signal) const;

  // What appeared since the last call, up to and including `text`; fails when it does not come.
  std::string expect(const std::string& text);
  // Waits for the prompt and until keys go to the program; what appeared before.
  std::string expect_prompt();
  // Whether lines are edited and echoed by the terminal, as a shell expects to find it.
  bool restored() const;
  // Waits for the end; the exit code, or minus the signal that killed it.
  int wait();

 private:
  bool read_some();

  pid_t pid_ = -1;
  int fd_ = -1;
  std::string screen_;
  size_t seen_ = 0;
};

}  // namespace gemma4
