#include "serve/openai/transcriptions.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/base64.h"
#include "base/strings.h"
#include "http/form_data.h"
#include "media/sound_pieces.h"
#include "serve/fields.h"
#include "serve/openai/common.h"

namespace gemma4::serve::openai {

using json::Value;
using Kind = AnswerEvent::Kind;

namespace {

// Half a minute of speech has far less; who repeats itself is stopped.
constexpr int64_t kMaxTokens = 1024;

// Of ISO 639-1; the model knows languages by their names. Others are named as the client does.
constexpr std::array<std::pair<std::string_view, std::string_view>, 40> kLanguages = {{
    {"ar", "Arabic"},     {"bg", "Bulgarian"}, {"bn", "Bengali"},    {"ca", "Catalan"},
    {"cs", "Czech"},      {"da", "Danish"},    {"de", "German"},     {"el", "Greek"},
    {"en", "English"},    {"es", "Spanish"},   {"et", "Estonian"},   {"fa", "Persian"},
    {"fi", "Finnish"},    {"fr", "French"},    {"he", "Hebrew"},     {"hi", "Hindi"},
    {"hr", "Croatian"},   {"hu", "Hungarian"}, {"id", "Indonesian"}, {"it", "Italian"},
    {"ja", "Japanese"},   {"ko", "Korean"},    {"lt", "Lithuanian"}, {"lv", "Latvian"},
    {"ms", "Malay"},      {"nl", "Dutch"},     {"no", "Norwegian"},  {"pl", "Polish"},
    {"pt", "Portuguese"}, {"ro", "Romanian"},  {"ru", "Russian"},    {"sk", "Slovak"},
    {"sl", "Slovenian"},  {"sv", "Swedish"},   {"th", "Thai"},       {"tr", "Turkish"},
    {"uk", "Ukrainian"},  {"ur", "Urdu"},      {"vi", "Vietnamese"}, {"zh", "Chinese"},
}};

std::string instruction(const std::string& language, const std::string& prompt) {
  std::string name = language;
  for (const auto& [code, known] : kLanguages)
    if (code == language) name = known;
  std::string text = str_cat(
      "Transcribe the following speech segment in ",
      name.empty() ? "its original language" : str_cat(name, " into ", name, " text"),
      ". Write nothing but the transcription, without line breaks, and numbers in digits: 1.7, not "
      "one point seven, and 3, not three.");
  if (!prompt.empty())
    text += str_cat(" For the spelling of names and the style, this is what came before: ", prompt);
  return text;
}

// What the form says besides the file, as JSON would: names with [] are lists.
Result<Value> fields_of(const std::vector<http::FormPart>& parts) {
  Value fields = Value::Object();
  for (const http::FormPart& part : parts) {
    if (part.name == "file") continue;
    const std::string text(part.data);
    Value value = text;
    if (part.name == "temperature" || part.name == "stream") {
      auto typed = json::parse(text);
      if (typed.ok()) value = std::move(typed).value();
    }
    if (fields.find(part.name) != nullptr && !part.name.ends_with("[]"))
      return Error{ErrorCode::kInvalidArgument, str_cat(part.name, ": the form has it twice")};
    fields.set(part.name, std::move(value));
  }
  return fields;
}

// The clips of a sound, as files in data URLs.
Result<std::vector<std::string>> clips_of(std::string_view file, const std::string& name,
                                          const media::SoundLimits& limits) {
  media::SoundLimits all = limits;
  all.max_samples = kTranscriptionClips * limits.max_samples;
  const auto read = media::decode_sound(std::as_bytes(std::span(file)), all, name);
  if (!read.ok()) return read.error().with_context("file");
  const media::Sound& sound = read.value();
  if (sound.was_cut)
    return Error{
        ErrorCode::kInvalidArgument,
        str_cat("file: the sound is longer than the ", all.max_samples / media::kSampleRate,
                " s that this server transcribes at once; send it in parts")};
  if (sound.is_damaged)
    return Error{ErrorCode::kInvalidArgument, "file: parts of the sound cannot be decoded"};
  std::vector<std::string> clips;
  for (const auto& piece : media::split_sound(sound.samples, limits.max_samples))
    clips.push_back("data:audio/wav;base64," + base64(media::wav_of(piece)));
  return clips;
}

Result<ChatRequest> read(const http::Request& head, const std::string& body,
                         const media::SoundLimits& limits) {
  G4_ASSIGN_OR_RETURN(const auto parts, http::parse_form(head.header("content-type"), body));
  const auto file = std::ranges::find(parts, "file", &http::FormPart::name);
  G4_ASSIGN_OR_RETURN(const Value values, fields_of(parts));
  Fields fields(values);
  ChatRequest request;
  request.model = fields.text("model").value_or("");
  request.sampling.temperature =
      fields.number("temperature", engine::kTemperatureRange).value_or(0.0f);
  request.stream = fields.boolean("stream").value_or(false);
  request.plain_text = fields.word("response_format", {"json", "text"}) == "text";
  const std::string language = fields.text("language").value_or("");
  if (language.size() > 64) fields.fail("language", "expected its code, or its name");
  const std::string prompt = fields.text("prompt").value_or("");
  if (fields.any("chunking_strategy") != nullptr) fields.word("chunking_strategy", {"auto"});
  fields.refuse({"include[]", "timestamp_granularities[]", "known_speaker_names[]",
                 "known_speaker_references[]"});
  G4_RETURN_IF_ERROR(fields.finish());
  if (file == parts.end())
    return Error{ErrorCode::kInvalidArgument, "file: the form has no sound of this name"};
  G4_ASSIGN_OR_RETURN(auto clips, clips_of(file->data, file->file_name, limits));
  request.max_tokens = kMaxTokens;
  for (std::string& clip : clips)
    request.conversations.push_back(
        {{.role = "user",
          .content = std::vector<chat::ContentPart>{
              {.text = instruction(language, prompt)},
              {.type = chat::ContentPart::Type::kAudio, .source = std::move(clip)}}}});
  return request;
}

// The texts of the clips in one: pieces that come are passed on as soon as all before them are
// complete.
class Transcript {
 public:
  explicit Transcript(size_t clips) : waiting_(clips), complete_(clips) {}

  // What it adds to the text that is known.
  std::string add(size_t clip, std::string_view text) {
    waiting_[clip] += text;
    return advance();
  }
  std::string finish(size_t clip) {
    complete_[clip] = true;
    return advance();
  }
  const std::string& text() const { return text_; }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
  std::string advance() {
    const size_t before = text_.size();
    for (; clip_ < waiting_.size(); ++clip_, begun_ = false) {
      pass_on(waiting_[clip_]);
      if (!complete_[clip_]) break;
    }
    return text_.substr(before);
  }
  // White space at the ends of a clip is nobody's words.
  void pass_on(std::string& text) {
    size_t end = text.size();
    while (end > 0 && is_space(text[end - 1])) --end;
    size_t begin = 0;
    if (!begun_)
      while (begin < end && is_space(text[begin])) ++begin;
    if (begin == end) return;
    if (!begun_ && !text_.empty()) text_ += ' ';
    begun_ = true;
    text_ += text.substr(begin, end - begin);
    text.erase(0, end);
  }

  std::vector<std::string> waiting_;
  std::vector<bool> complete_;
  size_t clip_ = 0;     // whose words are passed on
  bool begun_ = false;  // it had some
  std::string text_;
};

Value usage_value(const Usage& usage) {
  return Value::Object{{"type", "tokens"},
                       {"input_tokens", usage.prompt_tokens},
                       {"output_tokens", usage.completion_tokens},
                       {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

class TranscriptionStream final : public StreamWriter {
 public:
  explicit TranscriptionStream(const ChatRequest& request)
      : transcript_(request.conversations.size()) {}

  std::string begin() override { return ""; }
  std::string write(const AnswerEvent& event) override {
    const auto clip = static_cast<size_t>(event.choice);
    std::string text;
    if (event.kind == Kind::kContent) text = transcript_.add(clip, event.text);
    if (event.kind == Kind::kFinished) text = transcript_.finish(clip);
    if (text.empty()) return "";
    return sse(Value::Object{{"type", "transcript.text.delta"}, {"delta", std::move(text)}});
  }
  std::string end(const Usage& usage) override {
    return sse(Value::Object{{"type", "transcript.text.done"},
                             {"text", transcript_.text()},
                             {"usage", usage_value(usage)}}) +
           "data: [DONE]\n\n";
  }
  std::string fail(const Error& error) override { return stream_error(error); }

 private:
  Transcript transcript_;
};

Value whole(const AnswerHead&, const ChatRequest& request, const std::vector<WholeAnswer>& answers,
            const Usage& usage) {
  Transcript transcript(answers.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    transcript.add(i, answers[i].content);
    transcript.finish(i);
  }
  if (request.plain_text) return transcript.text();
  return Value::Object{{"text", transcript.text()}, {"usage", usage_value(usage)}};
}

}  // namespace

Endpoint transcriptions_endpoint(const media::SoundLimits& limits) {
  return {.protocol = Protocol::kOpenAi,
          .stream =
              [](const AnswerHead&, const ChatRequest& request) {
                return std::make_unique<TranscriptionStream>(request);
              },
          .whole = whole,
          .read = [limits](const http::Request& head,
                           const std::string& body) { return read(head, body, limits); }};
}

}  // namespace gemma4::serve::openai
