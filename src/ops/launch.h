// How an op takes its output from the step arena and runs one table entry. For the sources of this
// folder only.
#pragma once

#include <chrono>
#include <initializer_list>
#include <span>
#include <string_view>

#include "ops/context.h"
#include "ops/profile.h"

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

inline int64_t count(std::span<const int32_t> values) {
  return static_cast<int64_t>(values.size());
}

// Whether the backend runs several operations in one launch, and nobody needs to see them one by
// one.
template <class Entry>
bool fuses(const Context& ctx, Entry kernels::Table::*entry) {
  return ctx.kernels != nullptr && ctx.kernels->*entry != nullptr && ctx.tape == nullptr;
}

// A device that failed says so at the end of the step.
inline void wait_for_device(const Context& ctx) {
  if (ctx.device != nullptr) (void)ctx.device->finish();
}

template <class Args>
void launch_timed(const Context& ctx, std::string_view name,
                  void (*const kernels::Table::*entry)(kernels::Queue, const Args&),
                  const Args& args) {
  using Clock = std::chrono::steady_clock;
  wait_for_device(ctx);
  const auto start = Clock::now();
  (ctx.kernels->*entry)(ctx.queue, args);
  wait_for_device(ctx);
  ctx.profile->add(name, std::chrono::duration<double>(Clock::now() - start).count(),
                   weight_bytes(args));
}

template <class Args>
void launch(const Context& ctx, std::string_view name,
            void (*const kernels::Table::*entry)(kernels::Queue, const Args&), const Args& args) {
  if (ctx.dry_run()) return;
  if (ctx.profile != nullptr) [[unlikely]]
    launch_timed(ctx, name, entry, args);
  else
    (ctx.kernels->*entry)(ctx.queue, args);
  if (ctx.tape != nullptr) [[unlikely]]
    ctx.tape->record(name, &args, sizeof args);
}

// LAUNCH(rms_norm, {...}) runs the entry of that name.
#define LAUNCH(entry, Args, ...) \
  launch<kernels::Args>(ctx, #entry, &kernels::Table::entry, kernels::Args __VA_ARGS__)

}  // namespace gemma4::ops
