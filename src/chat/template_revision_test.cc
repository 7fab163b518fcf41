#include "chat/template_revision.h"

#include <gtest/gtest.h>

namespace gemma4::chat {
namespace {

// Stand-ins with the features that tell the revisions apart.
TEST(TemplateRevision, IsRecognisedByItsFeatures) {
  const std::string base = "{{- bos_token -}}{{- '<|turn>system\\n' -}}";
  using Revision = TemplateRevision;
  EXPECT_EQ(recognise_template(base + "{{- '<|think|>' -}}"), Revision::k20260402);
  EXPECT_EQ(recognise_template(base + "{#- OpenAI Chat Completions: -#}'<|think|>\\n'"),
            Revision::k20260410);
  EXPECT_EQ(recognise_template(base + "filter_keys '<|image|>'"), Revision::k20260428);
  EXPECT_EQ(recognise_template(base + "filter_keys '<|image|>' '<|image|>'"), Revision::k20260518);
  EXPECT_EQ(recognise_template(base + "filter_keys preserve_thinking"), Revision::k20260715);
  EXPECT_EQ(recognise_template(base + "last_user_message"), Revision::kInterleaved);
  EXPECT_EQ(recognise_template(base), Revision::kUnknown);
  EXPECT_EQ(recognise_template("<|im_start|> preserve_thinking"), Revision::kUnknown);
  EXPECT_EQ(recognise_template(""), Revision::kUnknown);
}

TEST(TemplateRevision, OnlyTheCurrentOneNeedsNoNote) {
  EXPECT_EQ(template_note(TemplateRevision::k20260715), "");
  EXPECT_EQ(template_note(TemplateRevision::k20260410),
            "the checkpoint's chat template is an older revision (2026-04-10); prompts have "
            "Gemma 4's format of 2026-07-15");
  EXPECT_EQ(template_note(TemplateRevision::kUnknown),
            "the checkpoint's chat template is unknown; prompts have Gemma 4's format of "
            "2026-07-15");
}

}  // namespace
}  // namespace gemma4::chat
