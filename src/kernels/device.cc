#include "kernels/device.h"

#include "base/strings.h"

namespace gemma4::kernels {

Result<Device::Memory> Device::allocate(size_t bytes) {
  std::byte* memory = bytes > 0 ? allocate_bytes(bytes) : nullptr;
  if (bytes > 0 && memory == nullptr)
    return Error{ErrorCode::kResourceExhausted,
                 str_cat(name(), " cannot give ", human_bytes(bytes), "; ",
                         human_bytes(available_bytes()), " are free")};
  return Memory(memory, Free{this});
}

}  // namespace gemma4::kernels
