// Runs the real program as a user does: as a process, with standard input, a terminal or limits.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace gemma4 {

using Clock = std::chrono::steady_clock;

struct Outcome {
  int exit_code = -1;
  int signal = 0;  // that killed it; 0 = it ended by itself
  bool timed_out = false;
  std::string out;
  std::string err;
};

// What a failed test shows of a long text.
inline std::string excerpt(const std::string& text) {
  constexpr size_t kMost = 1000;
  return text.size() <= kMost ? text : text.substr(0, kMost) + "…";
}

// Signals as in a shell's foreground, also when the tests run in the background.
inline void reset_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_DFL);
}

inline void PrintTo(const Outcome& outcome, std::ostream* os) {
  *os << "exit code " << outcome.exit_code << ", signal " << outcome.signal
      << (outcome.timed_out ? ", timed out" : "") << "\nstdout: " << excerpt(outcome.out)
      << "\nstderr: " << excerpt(outcome.err);
}

// A process with pipes for its standard streams.
class Process {
 public:
  struct Options {
    std::optional<rlim_t> file_size_limit;  // a disk that is full after so many bytes
    std::string stdout_path;                // instead of a pipe
    std::vector<std::pair<std::string, std::string>> environment;
  };

  explicit Process(std::vector<std::string> arguments) : Process(std::move(arguments), Options{}) {}
  Process(std::vector<std::string> arguments, const Options& options) {
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
      std::abort();
    arguments.insert(arguments.begin(), GEMMA4_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
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
      for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
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
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close_input();
    close_output();
    if (err_ >= 0) close(err_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::write(in_, text.data(), text.size());
      if (n <= 0) return;  // the program no longer reads
      text.remove_prefix(static_cast<size_t>(n));
    }
  }
  void close_input() {
    if (in_ >= 0) close(std::exchange(in_, -1));
  }
  void close_output() {
    if (out_ >= 0) close(std::exchange(out_, -1));
  }
  void send(int signal) const { kill(pid_, signal); }

  // Reads until `done` is true of what came so far; false when it ended or took too long.
  bool read_until(const std::function<bool(const Outcome&)>& done,
                  std::chrono::seconds limit = std::chrono::seconds(20)) {
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

  // Closes its input, collects everything, and waits for the end.
  Outcome wait(std::chrono::seconds limit = std::chrono::seconds(20)) {
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

 private:
  static void drain(const pollfd& file, int& fd, std::string& text) {
    if (fd < 0 || (file.revents & (POLLIN | POLLHUP | POLLERR)) == 0) return;
    char buffer[4096];
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
    if (n == 0) close(std::exchange(fd, -1));
  }

  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
  Outcome outcome_;
};

inline Outcome run_program(std::vector<std::string> arguments, std::string_view input = "",
                           const Process::Options& options = {}) {
  Process process(std::move(arguments), options);
  process.write(input);
  return process.wait();
}

// A process on a terminal of its own, as a user at the keyboard sees it.
class Terminal {
 public:
  explicit Terminal(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), GEMMA4_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
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
  ~Terminal() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(fd_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(std::string_view keys) {
    while (!keys.empty()) {
      const ssize_t n = ::write(fd_, keys.data(), keys.size());
      if (n <= 0) return;
      keys.remove_prefix(static_cast<size_t>(n));
    }
  }
  void send(int signal) const { kill(pid_, signal); }

  // What appeared since the last call, up to and including `text`; fails when it does not come.
  std::string expect(const std::string& text) {
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

  // Waits for the prompt and until keys go to the program; what appeared before.
  std::string expect_prompt() {
    const std::string before = expect("> ");
    const auto deadline = Clock::now() + std::chrono::seconds(20);
    while (restored() && Clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return before;
  }

  // Whether lines are edited and echoed by the terminal, as a shell expects to find it.
  bool restored() const {
    termios mode{};
    return tcgetattr(fd_, &mode) == 0 && (mode.c_lflag & ICANON) != 0 && (mode.c_lflag & ECHO) != 0;
  }

  // Waits for the end; the exit code, or minus the signal that killed it.
  int wait() {
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

 private:
  bool read_some() {
    pollfd file{fd_, POLLIN, 0};
    if (poll(&file, 1, 50) == 0) return true;
    char buffer[4096];
    const ssize_t n = ::read(fd_, buffer, sizeof buffer);
    if (n <= 0) return false;
    screen_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  pid_t pid_ = -1;
  int fd_ = -1;
  std::string screen_;
  size_t seen_ = 0;
};

// A folder that goes with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "gemma4-program-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_))
      names.push_back(std::filesystem::relative(entry.path(), path_).string());
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_whole(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace gemma4
