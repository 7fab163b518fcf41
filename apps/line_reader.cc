#include "apps/line_reader.h"

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cwchar>
#include <iostream>
#include <utility>

namespace gemma4::apps {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};

// A signal handler can reach nothing else; indexed like kSignals.
volatile std::sig_atomic_t g_arrived[kSignals.size()];
int g_wake[2] = {-1, -1};  // a pipe: a signal before the wait must end the wait too

void on_signal(int signal) {
  const int error_number = errno;
  for (size_t i = 0; i < kSignals.size(); ++i)
    if (kSignals[i] == signal) g_arrived[i] = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(g_wake[1], "", 1);  // full: it wakes anyway
  errno = error_number;
}

bool arrived(int signal) {
  for (size_t i = 0; i < kSignals.size(); ++i)
    if (kSignals[i] == signal) return g_arrived[i] != 0;
  return false;
}

void forget(int signal) {
  for (size_t i = 0; i < kSignals.size(); ++i)
    if (kSignals[i] == signal) g_arrived[i] = 0;
}

bool asked_to_end() { return arrived(SIGTERM) || arrived(SIGHUP); }

// While it lives, the signals only set flags and wake the wait for a key.
class SignalFlags {
 public:
  SignalFlags() {
    if (pipe2(g_wake, O_CLOEXEC | O_NONBLOCK) != 0) g_wake[0] = g_wake[1] = -1;
    for (size_t i = 0; i < kSignals.size(); ++i) {
      g_arrived[i] = 0;
      struct sigaction action {};
      action.sa_handler = on_signal;
      action.sa_flags = SA_RESTART;
      sigemptyset(&action.sa_mask);
      sigaction(kSignals[i], &action, &previous_[i]);
    }
  }
  ~SignalFlags() {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
    for (int& end : g_wake)
      if (end >= 0) ::close(std::exchange(end, -1));
  }
  SignalFlags(const SignalFlags&) = delete;
  SignalFlags& operator=(const SignalFlags&) = delete;

 private:
  std::array<struct sigaction, kSignals.size()> previous_;
};

// Waits until a key can be read. False when the line is abandoned.
bool wait_for_key(EditLine* editor) {
  while (true) {
    if (arrived(SIGINT) || asked_to_end()) return false;
    if (arrived(SIGWINCH)) el_resize(editor);
    if (arrived(SIGCONT)) {  // back from Ctrl-Z: the shell has changed the terminal's mode
      el_set(editor, EL_PREP_TERM, 0);
      el_set(editor, EL_PREP_TERM, 1);
      el_set(editor, EL_REFRESH);
    }
    forget(SIGWINCH);
    forget(SIGCONT);
    pollfd files[2] = {{STDIN_FILENO, POLLIN, 0}, {g_wake[0], POLLIN, 0}};
    if (poll(files, 2, -1) < 0 && errno != EINTR) return true;  // let read() say what is wrong
    char drain[64];
    while (files[1].revents != 0 && ::read(g_wake[0], drain, sizeof drain) > 0) {
    }
    if (files[0].revents != 0) return true;
  }
}

// One character for libedit, which by itself would miss every first Ctrl-C. 1 = a character, 0 =
// end of input, -1 = the line is abandoned.
int read_character(EditLine* editor, wchar_t* character) {
  std::mbstate_t state{};
  while (wait_for_key(editor)) {
    char byte = 0;
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    if (count == 0) return 0;
    if (count < 0) return -1;
    const size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == static_cast<size_t>(-2)) continue;  // the rest of the character follows
    if (used != static_cast<size_t>(-1)) return 1;
    state = {};  // not UTF-8: the byte is dropped, as libedit does
  }
  return -1;
}

}  // namespace

LineReader::LineReader() {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");  // libedit decodes what is typed with it
  history_ = history_init();
  if (history_ == nullptr) return;
  editor_ = el_init("gemma4", stdin, stdout, stderr);
  if (editor_ == nullptr) return;
  HistEvent event;
  ::history(history_, &event, H_SETSIZE, 1000);
  ::history(history_, &event, H_SETUNIQUE, 1);
  el_set(
      editor_, EL_PROMPT, +[](EditLine*) { return "> "; });
  el_set(editor_, EL_EDITOR, "emacs");
  el_set(editor_, EL_HIST, ::history, history_);
  el_set(editor_, EL_SIGNAL, 0);
  el_set(editor_, EL_GETCFN, read_character);
}

LineReader::~LineReader() {
  if (history_ != nullptr) history_end(history_);
  if (editor_ != nullptr) el_end(editor_);
}

std::optional<std::string> LineReader::read() {
  if (editor_ != nullptr) return edit_line();
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

std::optional<std::string> LineReader::edit_line() {
  const SignalFlags signals;
  while (true) {
    int count = 0;
    const char* text = el_gets(editor_, &count);
    if (arrived(SIGINT) && !asked_to_end()) {
      forget(SIGINT);
      std::printf("^C\n");
      continue;
    }
    if (text == nullptr || count <= 0 || asked_to_end()) return std::nullopt;
    std::string line(text, static_cast<size_t>(count));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    HistEvent event;
    if (!line.empty()) ::history(history_, &event, H_ENTER, line.c_str());
    return line;
  }
}

}  // namespace gemma4::apps
