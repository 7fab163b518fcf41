#include "tests/program_testing.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace gemma4 {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// What a failed test shows of a long text.
std::string excerpt(const std::string& text) {
  constexpr size_t kMost = 1000;
  return text.size() <= kMost ? text : text.substr(0, kMost) + "…";
}

// Signals as in a shell's foreground, also when the tests run in the background.
void reset_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_DFL);
}

// The arguments of execv(), the program's name first; they point into `arguments`.
std::vector<char*> program_argv(std::vector<std::string>& arguments) {
  arguments.insert(arguments.begin(), GEMMA4_PROGRAM);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return argv;
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;  // the program no longer reads
    text.remove_prefix(static_cast<size_t>(n));
  }
}

void expect_failure(const Outcome& outcome, int exit_code, const std::string& message) {
  EXPECT_EQ(outcome.exit_code, exit_code) << testing::PrintToString(outcome);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(StartsWith("gemma4: "), EndsWith("\n"), HasSubstr(message)));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

}  // namespace

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void PrintTo(const Outcome& outcome, std::ostream* os) {
  *os << "exit code " << outcome.exit_code << ", signal " << outcome.signal
      << (outcome.timed_out ? ", timed out" : "") << "\nstdout: " << excerpt(outcome.out)
      << "\nstderr: " << excerpt(outcome.err);
}

Process::Process(std::vector<std::string> arguments, const Options& options) {
  int in[2], out[2], err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
    std::abort();
  const std::vector<char*> argv = program_argv(arguments);
  pid_ = fork();
  if (pid_ == 0) {
    reset_signals();
    if (!options.stdout_path.empty()) out[1] = ::open(options.stdout_path.c_str(), O_WRONLY);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    if (options.file_size_limit) {
      const rlimit limit{*options.file_size_limit, *options.file_size_limit};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
}

Process::~Process() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close_input();
  close_output();
  if (err_ >= 0) close(err_);
}

void Process::write(std::string_view text) { write_all(in_, text); }
void Process::close_input() {
  if (in_ >= 0) close(std::exchange(in_, -1));
}
void Process::close_output() {
  if (out_ >= 0) close(std::exchange(out_, -1));
}
void Process::send(int signal) const { kill(pid_, signal); }

bool Process::read_until(const std::function<bool(const Outcome&)>& done,
                         std::chrono::seconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!done(outcome_)) {
    pollfd files[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
    if (Clock::now() > deadline) return false;
    if (out_ < 0 && err_ < 0) return false;
    poll(files, 2, 50);
    drain(files[0], out_, outcome_.out);
    drain(files[1], err_, outcome_.err);
  }
  return true;
}

Outcome Process::wait(std::chrono::seconds limit) {
  close_input();
  outcome_.timed_out = !read_until([&](const Outcome&) { return out_ < 0 && err_ < 0; }, limit) &&
                       (out_ >= 0 || err_ >= 0);
  if (outcome_.timed_out) kill(pid_, SIGKILL);
  int status = 0;
  waitpid(std::exchange(pid_, -1), &status, 0);
  if (WIFEXITED(status)) outcome_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome_.signal = WTERMSIG(status);
  return outcome_;
}

void Process::drain(const pollfd& file, int& fd, std::string& text) {
  if (fd < 0 || (file.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return;
  char buffer[4096];
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  if (n > 0) text.append(buffer, static_cast<size_t>(n));
  if (n == 0) close(std::exchange(fd, -1));
}

Outcome run_program(std::vector<std::string> arguments, std::string_view input,
                    const Process::Options& options) {
  Process process(std::move(arguments), options);
  process.write(input);
  return process.wait();
}

Outcome run_answer(const std::vector<std::string>& options, const std::string& prompt) {
  return run_program(std::vector<std::string>{"run", "-p", prompt, "--seed", "1"} + options);
}

void expect_failed(const Outcome& outcome, const std::string& message) {
  expect_failure(outcome, 1, message);
}

void expect_bad_usage(const Outcome& outcome, const std::string& message) {
  expect_failure(outcome, 2, message);
  EXPECT_THAT(outcome.err, HasSubstr("--help'"));
}

Terminal::Terminal(std::vector<std::string> arguments) {
  const std::vector<char*> argv = program_argv(arguments);
  winsize size{};
  size.ws_row = 40;
  size.ws_col = 100;
  pid_ = forkpty(&fd_, nullptr, nullptr, &size);
  if (pid_ == 0) {
    reset_signals();
    setenv("TERM", "xterm", 1);
    execv(argv[0], argv.data());
    _exit(127);
  }
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(fd_);
}

void Terminal::type(std::string_view keys) { write_all(fd_, keys); }
void Terminal::send(int signal) const { kill(pid_, signal); }

std::string Terminal::expect(const std::string& text) {
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (Clock::now() < deadline) {
    if (const size_t at = screen_.find(text, seen_); at != screen_.npos) {
      const std::string found = screen_.substr(seen_, at + text.size() - seen_);
      seen_ = at + text.size();
      return found;
    }
    if (!read_some()) break;
  }
  ADD_FAILURE() << "expected " << testing::PrintToString(text) << " after:\n"
                << excerpt(screen_.substr(seen_));
  return screen_.substr(seen_);
}

std::string Terminal::expect_prompt() {
  const std::string before = expect("> ");
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (restored() && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return before;
}

bool Terminal::restored() const {
  termios mode{};
  return tcgetattr(fd_, &mode) == 0 && (mode.c_lflag & ICANON) != 0 && (mode.c_lflag & ECHO) != 0;
}

int Terminal::wait() {
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (Clock::now() < deadline && read_some()) {
  }
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    if (waitpid(pid_, &status, WNOHANG) == 0) {
      ADD_FAILURE() << "the program goes on";
      return -1;
    }
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool Terminal::read_some() {
  pollfd file{fd_, POLLIN, 0};
  if (poll(&file, 1, 50) == 0) return true;
  char buffer[4096];
  const ssize_t n = ::read(fd_, buffer, sizeof buffer);
  if (n <= 0) return false;
  screen_.append(buffer, static_cast<size_t>(n));
  return true;
}

}  // namespace gemma4
