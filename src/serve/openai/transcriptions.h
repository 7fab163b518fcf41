// POST /v1/audio/transcriptions: a form with a sound to the words that are said in it.
#pragma once

#include "media/sound.h"
#include "serve/protocol.h"

namespace gemma4::serve::openai {

// Fields: file, model, language, prompt, temperature, response_format (json, text), stream. A sound
// longer than a clip becomes pieces, cut in pauses, each a prompt of its own; their texts are
// joined in order. `limits` are those of a clip; sounds may have kTranscriptionClips of them.
Endpoint transcriptions_endpoint(const media::SoundLimits& limits);

inline constexpr int64_t kTranscriptionClips = 60;  // half an hour

}  // namespace gemma4::serve::openai
