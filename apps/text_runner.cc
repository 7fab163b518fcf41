#include "apps/text_runner.h"

#include <algorithm>

#include "apps/text_stream.h"
#include "kernels/registry.h"

namespace gemma4::apps {

Result<TextRunner> TextRunner::create(std::shared_ptr<const model::Model> model, int num_threads,
                                      DType kv_type) {
  std::shared_ptr<kernels::Device> device = model->device();
  if (device == nullptr) {
    G4_ASSIGN_OR_RETURN(device, kernels::open_cpu_device({.num_threads = num_threads}));
  }
  return TextRunner(std::move(model), std::move(device), kv_type);
}

TextRunner::TextRunner(std::shared_ptr<const model::Model> model,
                       std::shared_ptr<kernels::Device> device, DType kv_type)
    : model_(std::move(model)), device_(std::move(device)), kv_type_(kv_type) {}

Result<std::vector<float>> TextRunner::logits(std::span<const int32_t> ids,
                                              std::span<const int32_t> positions, int64_t chunk,
                                              const model::ForwardOptions& options,
                                              ops::Probe* probe,
                                              std::span<const model::SoftSpan> media) const {
  const auto count = static_cast<int64_t>(ids.size());
  chunk = std::min(chunk, count);
  G4_ASSIGN_OR_RETURN(const auto stream,
                      TextStream::create(model_, device_,
                                         {.length = count,
                                          .step = chunk,
                                          .logits = static_cast<int64_t>(positions.size()),
                                          .kv_type = kv_type_,
                                          .forward = options,
                                          .probe = probe,
                                          .media = media}));
  std::vector<float> result;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t tokens = std::min(chunk, count - begin);
    std::vector<int32_t> wanted;
    for (const int32_t position : positions)
      if (position >= begin && position < begin + tokens)
        wanted.push_back(static_cast<int32_t>(position - begin));
    G4_ASSIGN_OR_RETURN(
        const std::span<const float> logits,
        stream->feed(ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(tokens)), wanted));
    result.insert(result.end(), logits.begin(), logits.end());
  }
  return result;
}

}  // namespace gemma4::apps
