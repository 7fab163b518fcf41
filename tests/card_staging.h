// A card's kernels for the towers as a table whose entries take the program's memory: what an entry
// reads is copied to the card, what it writes comes back. So the harness that holds CPU tables
// against the definition holds a card as well.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/kernel_testing.h"

namespace gemma4::testing {

// One call of an entry. The same memory of the program is the same memory on the card, so that an
// entry that works in place does so there.
class CardCall {
 public:
  static const std::shared_ptr<kernels::Device>& card() {
    static const std::shared_ptr<kernels::Device> device = [] {
      auto opened = kernels::open_cuda_device(kernels::Activations::kFloat32);
      return opened.ok() ? std::move(opened).value() : nullptr;
    }();
    return device;
  }
  ~CardCall() {
    for (const auto& [host, count] : outputs_)
      card()->download(host, copies_.at(host).get(), static_cast<size_t>(count) * sizeof(float));
    const Status status = card()->finish();
    EXPECT_TRUE(status.ok()) << status.error().message;
  }

  const float* in(const float* host, int64_t count) {
    return host == nullptr ? nullptr : place(host, count);
  }
  float* out(float* host, int64_t count) {
    outputs_.emplace_back(host, count);
    return place(host, count);
  }

 private:
  float* place(const float* host, int64_t count) {
    auto& copy = copies_[host];
    const auto bytes = static_cast<size_t>(count) * sizeof(float);
    if (copy == nullptr) {
      copy = card()->allocate(bytes).value();
      card()->upload(copy.get(), host, bytes);
    }
    return reinterpret_cast<float*>(copy.get());
  }
  std::map<const float*, kernels::Device::Memory> copies_;
  std::vector<std::pair<float*, int64_t>> outputs_;
};

// Runs the card's entry with what `stage` made of the arguments.
template <class Args, class Stage>
void call_card(void (*const kernels::Table::*entry)(kernels::Queue, const Args&), Args args,
               const Stage& stage) {
  CardCall call;
  stage(call, args);
  (CardCall::card()->table().*entry)(CardCall::card()->queue(), args);
}

inline kernels::Table staged_card_table() {
  using namespace kernels;  // NOLINT: the arguments of every entry
  Table table;
  table.name = "CUDA";
  table.subsample = [](Queue, const SubsampleArgs& args) {
    call_card(&Table::subsample, args, [](CardCall& call, SubsampleArgs& a) {
      a.x = call.in(a.x, a.frames * a.bands * a.channels);
      a.weight.data =
          call.in(static_cast<const float*>(a.weight.data), a.weight.rows * a.weight.cols);
      a.norm = call.in(a.norm, a.weight.rows);
      a.out = call.out(a.out, (a.frames + 1) / 2 * ((a.bands + 1) / 2) * a.weight.rows);
    });
  };
  table.clip = [](Queue, const ClipArgs& args) {
    call_card(&Table::clip, args, [](CardCall& call, ClipArgs& a) {
      a.x = call.in(a.x, a.rows * a.cols);
      a.bias = call.in(a.bias, a.cols);
      a.out = call.out(a.out, a.rows * a.cols);
    });
  };
  table.silu = [](Queue, const SiluArgs& args) {
    call_card(&Table::silu, args, [](CardCall& call, SiluArgs& a) {
      a.x = call.in(a.x, a.n);
      a.out = call.out(a.out, a.n);
    });
  };
  table.light_conv = [](Queue, const LightConvArgs& args) {
    call_card(&Table::light_conv, args, [](CardCall& call, LightConvArgs& a) {
      a.x = call.in(a.x, a.tokens * 2 * a.width);
      a.kernel = call.in(a.kernel, a.taps * a.width);
      a.norm = call.in(a.norm, a.width);
      a.out = call.out(a.out, a.tokens * a.width);
    });
  };
  table.local_attention = [](Queue, const LocalAttentionArgs& args) {
    call_card(&Table::local_attention, args, [](CardCall& call, LocalAttentionArgs& a) {
      const int64_t size = a.tokens * a.heads * a.head_dim;
      a.q = call.in(a.q, size);
      a.k = call.in(a.k, size);
      a.v = call.in(a.v, size);
      a.relative = call.in(a.relative, a.window * a.heads * a.head_dim);
      a.q_scale = call.in(a.q_scale, a.head_dim);
      a.out = call.out(a.out, size);
    });
  };
  table.rope_axes = [](Queue, const RopeAxesArgs& args) {
    call_card(&Table::rope_axes, args, [](CardCall& call, RopeAxesArgs& a) {
      a.cos = call.in(a.cos, a.axes * a.tokens * a.half);
      a.sin = call.in(a.sin, a.axes * a.tokens * a.half);
      a.x = call.out(a.x, a.tokens * a.heads * a.axes * 2 * a.half);
    });
  };
  table.pool = [](Queue, const PoolArgs& args) {
    call_card(&Table::pool, args, [](CardCall& call, PoolArgs& a) {
      a.x = call.in(a.x, a.rows * a.cols * a.width);
      a.bias = call.in(a.bias, a.width);
      a.weight = call.in(a.weight, a.width);
      a.out = call.out(a.out, a.rows / a.side * (a.cols / a.side) * a.width);
    });
  };
  table.layer_norm = [](Queue, const LayerNormArgs& args) {
    call_card(&Table::layer_norm, args, [](CardCall& call, LayerNormArgs& a) {
      a.x = call.in(a.x, a.rows * a.cols);
      a.weight = call.in(a.weight, a.cols);
      a.bias = call.in(a.bias, a.cols);
      a.out = call.out(a.out, a.rows * a.cols);
    });
  };
  return table;
}

// The tables whose rows for the towers are held against the definition: those of the CPU and, where
// a card can be used, the card's.
inline std::vector<kernels::Table> tower_tables_under_test() {
  std::vector<kernels::Table> tables = tables_under_test();
  if (CardCall::card() != nullptr) tables.push_back(staged_card_table());
  return tables;
}

// The device of one of them
inline std::shared_ptr<kernels::Device> device_with(const kernels::Table& table) {
  if (table.name == std::string_view("CUDA")) return CardCall::card();
  return kernels::make_cpu_device(table, {.num_threads = 2});
}

}  // namespace gemma4::testing
