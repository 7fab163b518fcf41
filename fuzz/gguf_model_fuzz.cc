// Any bytes as a GGUF model: refused with one line, or a model that can run.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "base/check.h"
#include "base/strings.h"
#include "fuzz/model_run.h"
#include "model/gguf_config.h"

namespace {

using namespace gemma4;  // NOLINT: one short file

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = str_cat("/tmp/gguf_model_fuzz.", getpid(), ".gguf");
  std::FILE* out = std::fopen(path.c_str(), "wb");
  G4_CHECK(out != nullptr);
  G4_CHECK_EQ(std::fwrite(data, 1, size, out), size);
  std::fclose(out);
  const auto model = model::Model::load(path);
  const auto parts = io::GgufParts::open(path);
  ::unlink(path.c_str());  // the maps stay
  if (parts.ok()) (void)model::read_gguf_generation(parts.value().metadata());
  if (!model.ok()) {
    G4_CHECK(!model.error().message.empty());
    G4_CHECK(model.error().message.find('\n') == std::string::npos);
    return 0;
  }
  fuzz::run(model.value());
  return 0;
}
