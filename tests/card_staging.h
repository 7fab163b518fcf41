// A card's kernels as a table whose entries take the program's memory: what an entry
// reads is copied to the card, what it writes comes back. So the harness that holds CPU tables
// against the definition holds a card as well.
#pragma once

#include <algorithm>
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
    for (const auto& [host, bytes] : outputs_)
      card()->download(host, copies_.at(host).get(), bytes);
    const Status status = card()->finish();
    EXPECT_TRUE(status.ok()) << status.error().message;
  }

  template <class T>
  const T* in(const T* host, int64_t count) {
    if (host == nullptr) return nullptr;
    return static_cast<const T*>(place(host, static_cast<size_t>(count) * sizeof(T)));
  }
  Matrix in(Matrix matrix) {
    const int64_t bytes = matrix.rows * row_bytes(matrix.dtype, matrix.cols);
    matrix.data = in(static_cast<const std::byte*>(matrix.data), bytes);
    return matrix;
  }
  template <class T>
  T* out(T* host, int64_t count) {
    if (host == nullptr) return nullptr;
    const auto bytes = static_cast<size_t>(count) * sizeof(T);
    outputs_.emplace_back(host, bytes);
    return static_cast<T*>(place(host, bytes));
  }

 private:
  void* place(const void* host, size_t bytes) {
    auto& copy = copies_[host];
    if (copy == nullptr) {
      copy = card()->allocate(bytes).value();
      card()->upload(copy.get(), host, bytes);
    }
    return copy.get();
  }
  std::map<const void*, kernels::Device::Memory> copies_;
  std::vector<std::pair<void*, size_t>> outputs_;
};

// Runs the card's entry with what `stage` made of the arguments.
template <class Args, class Stage>
void call_card(void (*const kernels::Table::*entry)(kernels::Queue, const Args&), Args args,
               const Stage& stage) {
  CardCall call;
  stage(call, args);
  (CardCall::card()->table().*entry)(CardCall::card()->queue(), args);
}

// The rows of the decoder that work element by element or row by row
inline void stage_rows(kernels::Table& table) {
  using namespace kernels;  // NOLINT: the arguments of every entry
  table.embed = [](Queue, const EmbedArgs& args) {
    call_card(&Table::embed, args, [](CardCall& call, EmbedArgs& a) {
      a.ids = call.in(a.ids, a.tokens);
      a.table = call.in(a.table);
      a.out = call.out(a.out, a.tokens * a.table.cols);
    });
  };
  table.combine_per_layer = [](Queue, const CombinePerLayerArgs& args) {
    call_card(&Table::combine_per_layer, args, [](CardCall& call, CombinePerLayerArgs& a) {
      a.context = call.in(a.context, a.tokens * a.layers * a.width);
      a.ids = call.in(a.ids, a.tokens);
      a.table = call.in(a.table);
      a.weight = call.in(a.weight, a.width);
      a.out = call.out(a.out, a.tokens * a.layers * a.width);
    });
  };
  table.rms_norm = [](Queue, const RmsNormArgs& args) {
    call_card(&Table::rms_norm, args, [](CardCall& call, RmsNormArgs& a) {
      a.x = call.in(a.x, a.rows * a.cols);
      a.weight = call.in(a.weight, a.cols);
      a.out = call.out(a.out, a.rows * a.cols);
    });
  };
  table.rope_table = [](Queue, const RopeTableArgs& args) {
    call_card(&Table::rope_table, args, [](CardCall& call, RopeTableArgs& a) {
      a.positions = call.in(a.positions, a.tokens);
      a.inv_freq = call.in(a.inv_freq, a.half);
      a.cos = call.out(a.cos, a.tokens * a.half);
      a.sin = call.out(a.sin, a.tokens * a.half);
    });
  };
  table.rope = [](Queue, const RopeArgs& args) {
    call_card(&Table::rope, args, [](CardCall& call, RopeArgs& a) {
      a.cos = call.in(a.cos, a.tokens * a.half);
      a.sin = call.in(a.sin, a.tokens * a.half);
      a.x = call.out(a.x, a.tokens * a.heads * 2 * a.half);
    });
  };
  table.gated_gelu = [](Queue, const GatedGeluArgs& args) {
    call_card(&Table::gated_gelu, args, [](CardCall& call, GatedGeluArgs& a) {
      a.gate = call.in(a.gate, (a.rows - 1) * a.gate_stride + a.cols);
      a.up = call.in(a.up, (a.rows - 1) * a.up_stride + a.cols);
      a.out = call.out(a.out, a.rows * a.cols);
    });
  };
  table.add = [](Queue, const AddArgs& args) {
    call_card(&Table::add, args, [](CardCall& call, AddArgs& a) {
      a.a = call.in(a.a, a.n);
      a.b = call.in(a.b, a.n);
      a.out = call.out(a.out, a.n);
    });
  };
  table.scale = [](Queue, const ScaleArgs& args) {
    call_card(&Table::scale, args, [](CardCall& call, ScaleArgs& a) {
      a.x = call.in(a.x, a.rows * a.cols);
      a.weight = call.in(a.weight, a.cols);
      a.out = call.out(a.out, a.rows * a.cols);
    });
  };
  table.gather_rows = [](Queue, const GatherRowsArgs& args) {
    call_card(&Table::gather_rows, args, [](CardCall& call, GatherRowsArgs& a) {
      const int32_t last = *std::max_element(a.rows, a.rows + a.count);
      a.x = call.in(a.x, (last + 1) * a.cols);
      a.rows = call.in(a.rows, a.count);
      a.out = call.out(a.out, a.count * a.cols);
    });
  };
  table.soft_cap = [](Queue, const SoftCapArgs& args) {
    call_card(&Table::soft_cap, args, [](CardCall& call, SoftCapArgs& a) {
      a.x = call.in(a.x, a.n);
      a.out = call.out(a.out, a.n);
    });
  };
  table.route = [](Queue, const RouteArgs& args) {
    call_card(&Table::route, args, [](CardCall& call, RouteArgs& a) {
      a.logits = call.in(a.logits, a.tokens * a.num_experts);
      a.expert_scale = call.in(a.expert_scale, a.num_experts);
      a.experts = call.out(a.experts, a.tokens * a.top_k);
      a.weights = call.out(a.weights, a.tokens * a.top_k);
    });
  };
  static constexpr auto kStageSum = [](CardCall& call, AddNormedArgs& a) {
    a.x = call.in(a.x, a.rows * a.cols);
    a.h = call.in(a.h, a.rows * a.cols);
    a.weight = call.in(a.weight, a.cols);
    a.sum = call.out(a.sum, a.rows * a.cols);
    for (AddNormedArgs::Normed& next : a.normed) {
      next.weight = call.in(next.weight, a.cols);
      next.out = call.out(next.out, a.rows * a.cols);
    }
  };
  table.add_normed = [](Queue, const AddNormedArgs& args) {
    call_card(&Table::add_normed, args, kStageSum);
  };
  table.add_branches = [](Queue, const AddBranchesArgs& args) {
    call_card(&Table::add_branches, args, [](CardCall& call, AddBranchesArgs& a) {
      a.other = call.in(a.other, a.sum.rows * a.sum.cols);
      a.h_weight = call.in(a.h_weight, a.sum.cols);
      a.other_weight = call.in(a.other_weight, a.sum.cols);
      kStageSum(call, a.sum);
    });
  };
  table.best_logits = [](Queue, const BestLogitsArgs& args) {
    call_card(&Table::best_logits, args, [](CardCall& call, BestLogitsArgs& a) {
      a.logits = call.in(a.logits, a.rows * a.cols);
      a.out = call.out(a.out, a.rows * BestLogitsArgs::kCount);
    });
  };
}

inline void stage_towers(kernels::Table& table) {
  using namespace kernels;  // NOLINT: the arguments of every entry
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
}

inline kernels::Table staged_card_table() {
  kernels::Table table;
  table.name = "CUDA";
  stage_rows(table);
  stage_towers(table);
  return table;
}

// The tables that are held against the definition: those of the CPU and, where a card can be used,
// the card's.
inline std::vector<kernels::Table> tables_and_card_under_test() {
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
