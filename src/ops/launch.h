// How an op takes its output from the step arena and runs one table entry. For the sources of this
// folder only.
#pragma once

#include <initializer_list>
#include <string_view>

#include "ops/context.h"

namespace gemma4::ops {

inline View allocate(const Context& ctx, std::initializer_list<int64_t> shape,
                     DType dtype = DType::kF32) {
  int64_t bytes = size_of(dtype);
  for (const int64_t dim : shape) bytes *= dim;
  return {ctx.arena->allocate(static_cast<size_t>(bytes)), dtype, shape};
}

inline View allocate_like(const Context& ctx, const View& x) {
  View out = x;
  out.data = ctx.arena->allocate(static_cast<size_t>(x.size() * size_of(x.dtype)));
  return out;
}

template <class Args>
void launch(const Context& ctx, std::string_view name,
            void (*const kernels::Table::*entry)(kernels::Queue, const Args&), const Args& args) {
  if (ctx.dry_run()) return;
  (ctx.kernels->*entry)(ctx.queue, args);
  if (ctx.tape != nullptr) [[unlikely]]
    ctx.tape->record(name, &args, sizeof args);
}

// LAUNCH(rms_norm, {...}) runs the entry of that name.
#define LAUNCH(entry, Args, ...) \
  launch<kernels::Args>(ctx, #entry, &kernels::Table::entry, kernels::Args __VA_ARGS__)

}  // namespace gemma4::ops
