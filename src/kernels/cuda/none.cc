// What stands for the CUDA backend in a build without it.

#include "kernels/registry.h"

namespace gemma4::kernels {

Result<std::shared_ptr<Device>> open_cuda_device(Activations) {
  return Error{ErrorCode::kUnsupported,
               "this build has no CUDA kernels; build the preset \"cuda\" where nvcc is installed"};
}

}  // namespace gemma4::kernels
