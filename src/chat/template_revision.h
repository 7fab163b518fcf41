// Which published revision of the Gemma 4 chat template a checkpoint carries. Prompts are rendered
// by chat_format.h whatever it is; this tells when the checkpoint was made for another form.
#pragma once

#include <string>
#include <string_view>

namespace gemma4::chat {

enum class TemplateRevision {
  k20260402,  // the release
  k20260410,  // also bundled with llama.cpp
  k20260428,
  k20260518,
  k20260715,     // what chat_format.h renders
  kInterleaved,  // llama.cpp's workaround of April
  kUnknown,
};

// Recognises the Jinja text of a chat template by what only that revision has.
TemplateRevision recognise_template(std::string_view jinja);

// One line for the user when prompts will differ from what the template would write; empty for the
// current revision.
std::string template_note(TemplateRevision revision);

}  // namespace gemma4::chat
