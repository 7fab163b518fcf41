#include "chat/template_revision.h"

#include "base/strings.h"

namespace gemma4::chat {
namespace {

std::string_view name(TemplateRevision revision) {
  switch (revision) {
    case TemplateRevision::k20260402:
      return "2026-04-02";
    case TemplateRevision::k20260410:
      return "2026-04-10";
    case TemplateRevision::k20260428:
      return "2026-04-28";
    case TemplateRevision::k20260518:
      return "2026-05-18";
    case TemplateRevision::k20260715:
      return "2026-07-15";
    case TemplateRevision::kInterleaved:
      return "llama.cpp's interleaved variant";
    case TemplateRevision::kUnknown:
      break;
  }
  return "unknown";
}

}  // namespace

TemplateRevision recognise_template(std::string_view jinja) {
  const auto has = [&](std::string_view text) { return jinja.find(text) != jinja.npos; };
  if (!has("<|turn>") || !has("bos_token")) return TemplateRevision::kUnknown;
  if (has("last_user_message")) return TemplateRevision::kInterleaved;
  if (has("preserve_thinking")) return TemplateRevision::k20260715;
  if (has("filter_keys")) {
    // Placeholders for media in the results of tools came in May: the literal stands there twice.
    constexpr std::string_view kImage = "<|image|>";
    return jinja.find(kImage) != jinja.rfind(kImage) ? TemplateRevision::k20260518
                                                     : TemplateRevision::k20260428;
  }
  if (has("OpenAI Chat Completions:")) return TemplateRevision::k20260410;
  if (has("'<|think|>'")) return TemplateRevision::k20260402;  // later ones: '<|think|>\n'
  return TemplateRevision::kUnknown;
}

std::string template_note(TemplateRevision revision) {
  if (revision == TemplateRevision::k20260715) return "";
  const std::string_view rendered = "prompts have Gemma 4's format of 2026-07-15";
  if (revision == TemplateRevision::kUnknown)
    return str_cat("the checkpoint's chat template is unknown; ", rendered);
  return str_cat("the checkpoint's chat template is an older revision (", name(revision), "); ",
                 rendered);
}

}  // namespace gemma4::chat
