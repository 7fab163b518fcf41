// What the lists of tensors are written with. For the sources of this folder only.
#pragma once

#include <string>
#include <utility>
#include <vector>

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
  void unbound(const std::string& name, std::vector<int64_t> shape) {
    add(name, std::move(shape), {});
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
