// What an op runs with: the kernel table, where to run, where outputs live, and who is watching.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/view.h"
#include "kernels/device.h"
#include "kernels/table.h"
#include "ops/profile.h"

namespace gemma4::ops {

// Receives named intermediate values (goldens, debugging). Never set in production.
class Probe {
 public:
  virtual ~Probe() = default;
  // `value` is readable and writable by the program during the call only; what it writes replaces
  // the value. `layer` is -1 outside the layers.
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
  kernels::Device* device = nullptr;  // null: the program's own memory
  Probe* probe = nullptr;
  Tape* tape = nullptr;
  Profile* profile = nullptr;
  bool many_rows = false;  // what linear's argument of this name is

  // A dry run lays out the arena and runs no kernel; pointers must not be followed.
  bool dry_run() const { return arena->is_measuring(); }
};

inline void probe(const Context& ctx, std::string_view name, int layer, const View& value) {
  if (ctx.probe == nullptr || ctx.dry_run()) [[likely]]
    return;
  if (ctx.device == nullptr || ctx.device->is_host() || !value) {
    ctx.probe->observe(name, layer, value);
    return;
  }
  const auto bytes = static_cast<size_t>(value.size() * size_of(value.dtype));
  std::vector<std::byte> copy(bytes);
  ctx.device->download(copy.data(), value.data, bytes);
  View host = value;
  host.data = copy.data();
  ctx.probe->observe(name, layer, host);
  ctx.device->upload(value.data, copy.data(), bytes);
}

}  // namespace gemma4::ops
