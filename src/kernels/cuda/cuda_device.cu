// One NVIDIA card as a device: its memory, one stream, and the table of the kernels beside this
// file.

#include <cstring>
#include <memory>

#include "base/strings.h"
#include "kernels/cuda/entries.cuh"
#include "kernels/registry.h"

namespace gemma4::kernels {
namespace {

const Table& cuda_table() {
  static constexpr Table kTable{
      .name = "CUDA",
      .max_head_dim = 1024,
      .reads_blocks = true,
      .reads_packed = true,
      .narrow_kv = true,
      .embed = cuda::embed,
      .combine_per_layer = cuda::combine_per_layer,
      .rms_norm = cuda::rms_norm,
      .linear = cuda::linear,
      .rope_table = cuda::rope_table,
      .rope = cuda::rope,
      .store_kv = cuda::store_kv,
      .attention = cuda::attention,
      .gated_gelu = cuda::gated_gelu,
      .add = cuda::add,
      .scale = cuda::scale,
      .gather_rows = cuda::gather_rows,
      .soft_cap = cuda::soft_cap,
      .route = cuda::route,
      .experts = cuda::experts,
      .subsample = cuda::subsample,
      .clip = cuda::clip,
      .silu = cuda::silu,
      .light_conv = cuda::light_conv,
      .local_attention = cuda::local_attention,
      .rope_axes = cuda::rope_axes,
      .pool = cuda::pool,
      .layer_norm = cuda::layer_norm,
      .linear_group = cuda::linear_group,
      .gated_linear = cuda::gated_linear,
      .prepare_heads = cuda::prepare_heads,
      .add_normed = cuda::add_normed,
      .add_branches = cuda::add_branches,
      .best_logits = cuda::best_logits,
      .can_add_layer_input = cuda::can_add_layer_input,
      .add_layer_input = cuda::add_layer_input,
  };
  return kTable;
}

class CudaRecording : public Device::Recording {
 public:
  explicit CudaRecording(cudaGraphExec_t graph) : graph_(graph) {}
  ~CudaRecording() override { cudaGraphExecDestroy(graph_); }
  cudaGraphExec_t graph() const { return graph_; }

 private:
  cudaGraphExec_t graph_;
};

// The first error of the device is kept until finish(); calls after it do nothing.
class CudaDevice : public Device {
 public:
  static Result<std::shared_ptr<Device>> open(Activations activations) {
    int count = 0;
    if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0)
      return Error{ErrorCode::kUnavailable,
                   str_cat("no NVIDIA card can be used: ",
                           error != cudaSuccess ? cudaGetErrorString(error) : "there is none")};
    auto device = std::shared_ptr<CudaDevice>(new CudaDevice(activations));
    cudaDeviceProp properties{};
    device->check(cudaGetDeviceProperties(&properties, 0), "reading the card's properties");
    device->check(cudaStreamCreateWithFlags(&device->stream_, cudaStreamNonBlocking),
                  "creating a stream");
    device->check(cudaMalloc(&device->scratch_, cuda::kCounterBytes + cuda::kFreeScratchBytes),
                  "allocating");
    device->check(cudaMemsetAsync(device->scratch_, 0, cuda::kCounterBytes, device->stream_),
                  "clearing memory");
    device->name_ = properties.name;
    G4_RETURN_IF_ERROR(device->finish());
    return std::shared_ptr<Device>(device);
  }
  ~CudaDevice() override {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
    cudaFree(scratch_);
    cudaFree(staging_);
  }

  std::string name() const override { return name_; }
  int num_threads() const override { return 0; }
  const Table& table() const override { return cuda_table(); }
  Queue queue() override {
    return {.stream = stream_, .scratch = scratch_, .activations = activations_};
  }
  bool is_host() const override { return false; }
  uint64_t available_bytes() const override {
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    return cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess ? free_bytes : 0;
  }
  void upload(void* target, const void* source, size_t bytes) override {
    if (bytes == 0) return;
    // From ordinary memory the copy has left `source` when the call returns.
    check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyHostToDevice, stream_), "uploading");
  }
  void download(void* target, const void* source, size_t bytes) override {
    if (bytes == 0) return;
    check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToHost, stream_), "downloading");
    check(cudaStreamSynchronize(stream_), "running a step");
    if (!error_.empty()) std::memset(target, 0, bytes);  // never what was there before
  }
  void copy(void* target, const void* source, size_t bytes) override {
    check(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, stream_), "copying");
  }
  bool packs(const Matrix& weight) const override {
    return is_block_dtype(weight.dtype) && weight.rows % Matrix::kPackedRows == 0;
  }
  size_t packed_bytes(const Matrix& weight) const override { return cuda::packed_bytes(weight); }
  void pack(const Matrix& weight, std::byte* out) override {
    const auto bytes = static_cast<size_t>(weight.bytes());
    if (bytes > staging_bytes_) {
      free_staging();
      check(cudaMalloc(&staging_, bytes), "making room for a weight");
      if (staging_ == nullptr) return;
      staging_bytes_ = bytes;
    }
    upload(staging_, weight.data, bytes);
    Matrix uploaded = weight;
    uploaded.data = staging_;
    cuda::pack(queue(), uploaded, out);
  }
  int64_t step_tokens() const override { return 2048; }
  // Rounded like the inputs of products; prompts attend with keys in this type anyway.
  DType kv_type() const override {
    return activations_ == Activations::kBFloat16 ? DType::kBF16 : DType::kF32;
  }
  bool can_record() const override { return true; }
  void start_recording() override {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording a step");
  }
  std::unique_ptr<Recording> stop_recording() override {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_, &graph), "recording a step");
    if (graph == nullptr) return nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaGraphInstantiate(&ready, graph, 0), "preparing a recorded step");
    cudaGraphDestroy(graph);
    return ready == nullptr ? nullptr : std::make_unique<CudaRecording>(ready);
  }
  void replay(const Recording& recording) override {
    check(cudaGraphLaunch(static_cast<const CudaRecording&>(recording).graph(), stream_),
          "running a recorded step");
  }
  Status finish() override {
    check(cudaStreamSynchronize(stream_), "running a step");
    check(cudaGetLastError(), "launching a kernel");
    free_staging();
    if (error_.empty()) return {};
    return Error{ErrorCode::kUnavailable, error_};
  }

 private:
  explicit CudaDevice(Activations activations) : activations_(activations) {}

  // Weights as the file has them are there until loading ends.
  void free_staging() {
    if (staging_ == nullptr) return;
    cudaFree(staging_);  // after the kernels that read it
    staging_ = nullptr;
    staging_bytes_ = 0;
  }

  void check(cudaError_t error, const char* doing) {
    if (error != cudaSuccess && error_.empty())
      error_ = str_cat("the card failed while ", doing, ": ", cudaGetErrorString(error));
  }
  std::byte* allocate_bytes(size_t bytes) override {
    void* memory = nullptr;
    if (cudaMalloc(&memory, bytes) == cudaSuccess) return static_cast<std::byte*>(memory);
    (void)cudaGetLastError();  // running out is answered by the caller, not kept
    return nullptr;
  }
  void free(std::byte* memory) override { cudaFree(memory); }

  std::string name_;
  cudaStream_t stream_ = nullptr;
  void* scratch_ = nullptr;
  void* staging_ = nullptr;
  size_t staging_bytes_ = 0;
  Activations activations_;
  std::string error_;
};

}  // namespace

Result<std::shared_ptr<Device>> open_cuda_device(Activations activations) {
  return CudaDevice::open(activations);
}

}  // namespace gemma4::kernels
