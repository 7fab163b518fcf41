// What the lists of tensors are written with. For the sources of this folder only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/clipped_linear.h"
#include "model/tensor_list.h"

namespace gemma4::model {

class TensorList {
 public:
  explicit TensorList(std::string prefix) : prefix_(std::move(prefix)) {}

  void matrix(const std::string& name, std::vector<int64_t> shape, Matrix& target) {
    add(name, std::move(shape), &target);
  }
  void linear(const std::string& name, int64_t out, int64_t in, ops::Linear& target) {
    add(name + ".weight", {out, in}, &target.weight);
  }
  void norm(const std::string& name, int64_t size, ops::Norm& target) {
    add(name + ".weight", {size}, &target.weight);
  }
  void vector(const std::string& name, int64_t size, const float*& target) {
    add(name, {size}, &target);
  }
  void number(const std::string& name, float& target) { add(name, {1}, &target); }
  void scalar(const std::string& name, float& target) { add(name, {}, &target); }
  void tensor(const std::string& name, std::vector<int64_t> shape, TensorTarget target) {
    add(name, std::move(shape), target);
  }
  // With its bounds, where the tower has such
  void clipped(const std::string& name, int64_t out, int64_t in, bool has_bounds,
               ClippedLinear& target) {
    linear(name + ".linear", out, in, target.linear);
    if (!has_bounds) return;
    scalar(name + ".input_min", target.input.low);
    scalar(name + ".input_max", target.input.high);
    scalar(name + ".output_min", target.output.low);
    scalar(name + ".output_max", target.output.high);
  }

  std::vector<TensorEntry> take() { return std::move(entries_); }

 private:
  void add(const std::string& name, std::vector<int64_t> shape, TensorTarget target) {
    entries_.push_back({prefix_ + name, std::move(shape), target});
  }
  std::string prefix_;
  std::vector<TensorEntry> entries_;
};

}  // namespace gemma4::model
