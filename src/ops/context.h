// What an op runs with: the kernel table, where to run, where outputs live, and who is watching.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/view.h"
#include "kernels/table.h"

namespace gemma4::ops {

// Receives named intermediate values (goldens, debugging). Never set in production.
class Probe {
 public:
  virtual ~Probe() = default;
  // `value` is readable on the host only during the call. `layer` is -1 outside the layers.
  virtual void observe(std::string_view name, int layer, const View& value) = 0;
};

// One executed op, as training will need it: which table entry ran and its argument struct.
class Tape {
 public:
  virtual ~Tape() = default;
  // `args` points to the entry's argument struct (`args_bytes` long) and is valid during the call.
  virtual void record(std::string_view entry, const void* args, size_t args_bytes) = 0;
};

struct Context {
  const kernels::Table* kernels = nullptr;
  kernels::Queue queue;
  Arena* arena = nullptr;
  Probe* probe = nullptr;
  Tape* tape = nullptr;

  // A dry run lays out the arena and runs no kernel; pointers must not be followed.
  bool dry_run() const { return arena->is_measuring(); }
};

inline void probe(const Context& ctx, std::string_view name, int layer, const View& value) {
  if (ctx.probe != nullptr && !ctx.dry_run()) [[unlikely]]
    ctx.probe->observe(name, layer, value);
}

}  // namespace gemma4::ops
