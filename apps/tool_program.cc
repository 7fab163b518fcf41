#include "apps/tool_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "json/json.h"
#include "text/utf8.h"

extern char** environ;

namespace gemma4::apps {
namespace {

constexpr size_t kMaxOutput = 1 << 20;
constexpr size_t kShownOfTooMuch = 2000;
constexpr int kPollMilliseconds = 100;  // how often `stop` is asked

// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read_end, write_end;
};

Error system_error(const std::string& what) {
  return {ErrorCode::kIo, str_cat(what, ": ", std::strerror(errno))};
}

Error interrupted() { return {ErrorCode::kCancelled, "interrupted"}; }

Error cannot_start(const std::string& program, int error) {
  const char* hint = error == ENOEXEC  ? "; a script begins with a line like #!/bin/sh"
                     : error == EACCES ? "; is it a program, and executable?"
                                       : "";
  return {error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
          str_cat("--tool-exec ", program, ": ", std::strerror(error), hint)};
}

// 0 when `path` is a file that may be run, or else why not.
int execution_error(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return access(path.c_str(), X_OK) == 0 ? 0 : errno;
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// A started program. Killed with all that it started, should it still run, and waited for at the
// end.
class Child {
 public:
  static Result<Child> start(const std::string& program, const std::string& name, Pipe& input,
                             Pipe& output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input.read_end.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output.write_end.get(), STDOUT_FILENO);
    // This program ignores broken pipes meanwhile; the tool must not.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t to_default;
    sigemptyset(&to_default);
    sigaddset(&to_default, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &to_default);
    // A session of its own: what it starts ends with it, and a question on the terminal, which
    // would stop a background group for ever, fails at once.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    std::string program_copy = program;
    std::string name_copy = name;
    std::array<char*, 3> arguments = {program_copy.data(), name_copy.data(), nullptr};
    pid_t pid = 0;
    const int error =
        posix_spawnp(&pid, program.c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return cannot_start(program, error);
    return Child(pid);
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    kill(-pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  // Its exit status, as waitpid gives it. A program that prints no more may still go on for long.
  Result<int> wait(const std::function<bool()>& stop) {
    for (int pause = 1;; pause = std::min(2 * pause, kPollMilliseconds)) {
      int status = 0;
      const pid_t ended = waitpid(pid_, &status, WNOHANG);
      if (ended < 0 && errno != EINTR) return system_error("waiting for the tool");
      if (ended > 0) {
        pid_ = -1;
        return status;
      }
      if (stop && stop()) return interrupted();
      poll(nullptr, 0, pause);
    }
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

// Writes `input` to the program and reads what it prints, whichever is ready: neither can wait for
// the other for ever. What is above kMaxOutput is not read to its end.
Result<std::string> talk(Fd to, Fd from, std::string_view input,
                         const std::function<bool()>& stop) {
  fcntl(to.get(), F_SETFL, O_NONBLOCK);
  std::string output;
  for (;;) {
    if (stop && stop()) return interrupted();
    if (input.empty()) to.reset();
    std::array<pollfd, 2> ends = {pollfd{from.get(), POLLIN, 0}, pollfd{to.get(), POLLOUT, 0}};
    if (poll(ends.data(), input.empty() ? 1 : 2, kPollMilliseconds) < 0 && errno != EINTR)
      return system_error("waiting for the tool");
    if (!input.empty() && ends[1].revents != 0) {
      const ssize_t written = write(to.get(), input.data(), input.size());
      if (written >= 0) input.remove_prefix(static_cast<size_t>(written));
      if (written < 0 && errno != EAGAIN && errno != EINTR) input = {};  // it does not read: fine
    }
    if (ends[0].revents == 0) continue;
    std::array<char, 65536> buffer;
    const ssize_t count = read(from.get(), buffer.data(), buffer.size());
    if (count == 0) return output;
    if (count < 0 && errno != EINTR) return system_error("reading from the tool");
    if (count > 0) output.append(buffer.data(), static_cast<size_t>(count));
    if (output.size() > kMaxOutput) return output;
  }
}

std::string repaired(std::string_view output) {
  std::string text;
  text::append_repaired(output, text);
  return text;
}

std::string describe(int status, const std::string& output) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  const std::string how = WIFSIGNALED(status) ? str_cat("signal ", WTERMSIG(status))
                                              : str_cat("exit code ", WEXITSTATUS(status));
  return str_cat("error: ", how, output.empty() ? "" : "\n", output);
}

// While a tool runs, writing to one that has gone must not end this program.
class IgnoreBrokenPipe {
 public:
  IgnoreBrokenPipe() : previous_(std::signal(SIGPIPE, SIG_IGN)) {}
  ~IgnoreBrokenPipe() { std::signal(SIGPIPE, previous_); }
  IgnoreBrokenPipe(const IgnoreBrokenPipe&) = delete;
  IgnoreBrokenPipe& operator=(const IgnoreBrokenPipe&) = delete;

 private:
  void (*previous_)(int);
};

}  // namespace

Status check_tool_program(const std::string& program) {
  if (program.find('/') != program.npos) {
    const int error = execution_error(program);
    return error == 0 ? Status() : Status(cannot_start(program, error));
  }
  const char* path = std::getenv("PATH");
  std::string_view folders = path == nullptr ? "/bin:/usr/bin" : path;
  while (!folders.empty()) {
    const std::string_view folder = folders.substr(0, folders.find(':'));
    folders.remove_prefix(std::min(folder.size() + 1, folders.size()));
    if (execution_error(str_cat(folder.empty() ? "." : folder, "/", program)) == 0) return {};
  }
  return Error{ErrorCode::kNotFound, str_cat("--tool-exec ", program,
                                             ": there is no such program in the PATH; one of this "
                                             "folder is ./",
                                             program)};
}

Result<std::string> run_tool(const std::string& program, const chat::ToolCall& call,
                             const std::function<bool()>& stop) {
  if (stop && stop()) return interrupted();
  const IgnoreBrokenPipe ignore;
  G4_ASSIGN_OR_RETURN(Pipe input, make_pipe());
  G4_ASSIGN_OR_RETURN(Pipe output, make_pipe());
  G4_ASSIGN_OR_RETURN(Child child, Child::start(program, call.name, input, output));
  input.read_end.reset();
  output.write_end.reset();
  const std::string arguments =
      json::dump(call.arguments.is_null() ? json::Value(json::Value::Object{}) : call.arguments);
  G4_ASSIGN_OR_RETURN(std::string printed, talk(std::move(input.write_end),
                                                std::move(output.read_end), arguments, stop));
  if (printed.size() > kMaxOutput)
    return too_long_result(str_cat("the result is too long, above ", human_bytes(kMaxOutput)),
                           repaired(std::string_view(printed).substr(0, 2 * kShownOfTooMuch)),
                           kShownOfTooMuch);
  if (printed.ends_with('\n')) printed.pop_back();
  G4_ASSIGN_OR_RETURN(const int status, child.wait(stop));
  return repaired(describe(status, printed));
}

std::string too_long_result(const std::string& problem, std::string_view result, size_t max_bytes) {
  size_t length = std::min(max_bytes, result.size());
  const auto continues = [&](size_t at) { return (result[at] & 0xC0) == 0x80; };
  while (length > 0 && length < result.size() && continues(length)) --length;
  return str_cat("error: ", problem, "; it begins:\n", result.substr(0, length));
}

}  // namespace gemma4::apps
