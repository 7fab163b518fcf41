// Where a step's time goes: by entry of the kernel table.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "kernels/table.h"

namespace gemma4::ops {

// Not thread-safe.
class Profile {
 public:
  struct Entry {
    int64_t calls = 0;
    double seconds = 0;       // each call by itself: the device is waited for before and after it
    double weight_bytes = 0;  // of the weights it reads, once a call
  };
  void add(std::string_view entry, double seconds, double weight_bytes);
  void clear() { entries_.clear(); }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

// Bytes of weights that one call reads; experts as if every token chose others, up to all of them.
double weight_bytes(const kernels::LinearArgs& a);
double weight_bytes(const kernels::LinearGroupArgs& a);
double weight_bytes(const kernels::GatedLinearArgs& a);
double weight_bytes(const kernels::LayerInputArgs& a);
double weight_bytes(const kernels::ExpertsArgs& a);
template <class Args>
double weight_bytes(const Args&) {
  return 0;
}

}  // namespace gemma4::ops
