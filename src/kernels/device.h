// Where tensors live and kernels run: memory, copies in queue order, and the kernel table that
// works on that memory. The only way to memory that is not the program's own.
//
//   G4_ASSIGN_OR_RETURN(std::shared_ptr<Device> device, open_device("auto", {}));
//   G4_ASSIGN_OR_RETURN(Device::Memory memory, device->allocate(bytes));
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kernels/table.h"

namespace gemma4::kernels {

// Not thread-safe: one thread uses a device at a time. Everything runs in the order it was given.
class Device {
 public:
  struct Free {
    Device* device = nullptr;
    void operator()(std::byte* memory) const { device->free(memory); }
  };
  // Must not outlive its device.
  using Memory = std::unique_ptr<std::byte[], Free>;

  virtual ~Device() = default;

  // What it is, for people: "2 threads, AVX3 kernels", "NVIDIA H100 80GB HBM3".
  virtual std::string name() const = 0;
  virtual int num_threads() const = 0;  // of this program that run kernels; 0 on a card
  virtual const Table& table() const = 0;
  virtual Queue queue() = 0;
  // The program may follow pointers into this memory, and kernels may read the program's own.
  virtual bool is_host() const = 0;
  // Bytes that allocate() can still give; 0 when unknown.
  virtual uint64_t available_bytes() const = 0;

  // Whether products want a packed copy of this weight, which is packed_bytes() long; pack() writes
  // it from the program's own memory. Products of a card with a quantised weight need it.
  virtual bool packs(const Matrix&) const { return false; }
  virtual size_t packed_bytes(const Matrix& weight) const {
    return static_cast<size_t>(weight.bytes());
  }
  virtual void pack(const Matrix&, std::byte*) {}

  // The type of keys and values that goes with how precisely the device computes anyway
  virtual DType kv_type() const { return DType::kF32; }

  // Tokens of one step beyond which longer steps are hardly faster per token.
  virtual int64_t step_tokens() const { return 512; }

  // 64-byte aligned at least, not initialised. Errors: kResourceExhausted.
  Result<Memory> allocate(size_t bytes);
  // Copies into device memory; `source` may be changed as soon as this returns.
  virtual void upload(void* target, const void* source, size_t bytes) = 0;
  // Copies inside device memory.
  virtual void copy(void* target, const void* source, size_t bytes) = 0;
  // Copies out of device memory when everything before is done.
  virtual void download(void* target, const void* source, size_t bytes) = 0;
  // Work that was given once and can be given again as one, with the same memory and arguments.
  class Recording {
   public:
    virtual ~Recording() = default;
  };
  // Where this is true, work between start_recording and stop_recording is kept and not run; copies
  // are not allowed there. Null when the work cannot be recorded. A recording must not outlive the
  // device.
  virtual bool can_record() const { return false; }
  virtual void start_recording() {}
  virtual std::unique_ptr<Recording> stop_recording() { return nullptr; }
  virtual void replay(const Recording&) {}

  // Waits for everything given so far. An error ends the device: nothing after it may be trusted.
  virtual Status finish() = 0;

 private:
  virtual std::byte* allocate_bytes(size_t bytes) = 0;  // null when there is not enough
  virtual void free(std::byte* memory) = 0;
};

}  // namespace gemma4::kernels
