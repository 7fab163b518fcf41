// Lines from the user: with editing, history and Ctrl-C on a terminal, plain otherwise.
#pragma once

#include <optional>
#include <string>

struct editline;
struct history;

namespace gemma4::apps {

class LineReader {
 public:
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its end; nothing at the end of input (Ctrl-D) or when a signal asks the
  // program to end. Ctrl-C drops what was typed and asks again.
  std::optional<std::string> read();

  bool on_terminal() const { return editor_ != nullptr; }

 private:
  std::optional<std::string> edit_line();

  editline* editor_ = nullptr;
  history* history_ = nullptr;
};

}  // namespace gemma4::apps
