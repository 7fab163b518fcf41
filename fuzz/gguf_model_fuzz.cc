// Any bytes as a GGUF model, projector or drafter: refused with one line, or a model that can run
// and towers whose elements can be read.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "base/check.h"
#include "base/strings.h"
#include "fuzz/model_run.h"
#include "model/drafter_file.h"
#include "model/gguf_config.h"
#include "model/projector_file.h"
#include "model/tensor_list.h"

namespace {

using namespace gemma4;  // NOLINT: one short file

// Not what lies beside the input.
const model::ProjectorChoice kNoProjector = {.kind = model::ProjectorChoice::Kind::kNone,
                                             .path = {}};

void check_message(const Error& error) {
  G4_CHECK(!error.message.empty());
  G4_CHECK(error.message.find('\n') == std::string::npos);
}

// Touches all bytes, so that the address sanitizer sees them.
void read_all(const io::TensorStore& store) {
  unsigned sum = 0;
  for (const auto& [name, tensor] : store.tensors())
    for (const std::byte byte : tensor.bytes) sum += static_cast<unsigned>(byte);
  volatile unsigned sink = sum;
  (void)sink;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = str_cat("/tmp/gguf_model_fuzz.", getpid(), ".gguf");
  std::FILE* out = std::fopen(path.c_str(), "wb");
  G4_CHECK(out != nullptr);
  G4_CHECK_EQ(std::fwrite(data, 1, size, out), size);
  std::fclose(out);
  const auto model = model::Model::load(path, nullptr, {.projector = kNoProjector});
  const auto projector = model::open_projector(path);
  const auto drafter = model::open_drafter(path);
  const auto parts = io::GgufParts::open(path);
  ::unlink(path.c_str());  // the maps stay
  if (parts.ok()) (void)model::read_gguf_generation(parts.value().metadata());
  G4_CHECK(model.ok() + projector.ok() + drafter.ok() <= 1);
  if (projector.ok()) {
    read_all(projector.value().store);
    G4_CHECK(model::check_towers(projector.value().config, projector.value().store).ok());
  } else {
    check_message(projector.error());
  }
  if (drafter.ok())
    read_all(drafter.value().store);
  else
    check_message(drafter.error());
  if (model.ok())
    fuzz::run(model.value());
  else
    check_message(model.error());
  return 0;
}
