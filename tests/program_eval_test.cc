// gemma4 eval: perplexity and divergence, as a user measures them.

#include <cmath>
#include <nlohmann/json.hpp>

#include "io/safetensors.h"
#include "model/imatrix.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"
#include "text/tokenizer.h"

namespace gemma4 {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

const std::string kStories = std::string(GEMMA4_SOURCE_DIR) + "/tests/text/stories-b.txt";

ordered_json eval(const std::vector<std::string>& arguments, std::string_view input = "") {
  const Outcome outcome =
      run_program(std::vector<std::string>{"eval", "--json"} + arguments, input);
  EXPECT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
  return parse_json(outcome.out);
}

// From the logits that the reference implementation gives the golden's prompt.
TEST(Eval, PerplexityIsThatOfTheReferencesLogits) {
  const auto golden = io::TensorStore::open(kDemo + "/golden.safetensors").value();
  const auto wide = io::read_integers(*golden.find("text.input_ids")).value();
  const std::vector<int32_t> ids(wide.begin(), wide.end());
  const std::vector<float> logits = io::read_floats(*golden.find("text.logits")).value();
  const size_t vocab_size = logits.size() / ids.size();
  double nll = 0;
  const size_t first = ids.size() / 2;
  for (size_t i = first; i + 1 < ids.size(); ++i) {
    const float* row = logits.data() + i * vocab_size;
    long double sum = 0;
    for (size_t v = 0; v < vocab_size; ++v) sum += std::exp(static_cast<long double>(row[v]));
    nll += static_cast<double>(std::log(sum)) - row[ids[i + 1]];
  }
  nll /= static_cast<double>(ids.size() - 1 - first);

  const auto tokenizer = text::Tokenizer::load(kDemo).value();
  const std::string text = tokenizer.decode(std::span(ids).subspan(1));
  const ordered_json found = eval({kDemo, "--text", "-", "--parse-special", "--device", "cpu",
                                   "--ctx", std::to_string(ids.size())},
                                  text);
  EXPECT_EQ(found["chunks"], 1);
  EXPECT_EQ(found["text_tokens"], ids.size() - 1);
  EXPECT_EQ(found["scored_tokens"], ids.size() - 1 - first);
  EXPECT_NEAR(std::log(found["perplexity"].get<double>()), nll, 1e-4);
}

TEST(Eval, ThreadsAndWhereTheTextComesFromChangeNothing) {
  ordered_json a = eval({kDemo, "-f", kStories, "--chunks", "2", "--threads", "1"});
  ordered_json b =
      eval({kDemo, "-f", "-", "--chunks", "2", "--threads", "3"}, read_whole(kStories));
  EXPECT_EQ(a["chunks"], 2);
  EXPECT_EQ(a["chunk_tokens"], 512);
  EXPECT_EQ(a["scored_tokens"], 2 * 255);
  a.erase("seconds");
  b.erase("seconds");
  EXPECT_EQ(a, b);
}

// A chunk is a sequence of its own: cutting the text where chunks end changes nothing.
TEST(Eval, ChunksAreIndependent) {
  const std::vector<std::string> options = {kDemo, "-f", kStories, "--ctx", "100"};
  const auto log_perplexity = [](const ordered_json& json) {
    return std::log(json["perplexity"].get<double>());
  };
  const double one = log_perplexity(eval(options + std::vector<std::string>{"--chunks", "1"}));
  const double two = log_perplexity(eval(options + std::vector<std::string>{"--chunks", "2"}));
  const auto tokenizer = text::Tokenizer::load(kDemo).value();
  const auto ids = tokenizer.encode(read_whole(kStories), text::Tokenizer::AddedTokens::kIgnore);
  // Token 99 of the text is the first of the second chunk, where <bos> takes its place.
  const std::string second = tokenizer.decode(std::span(ids).subspan(100, 99));
  ASSERT_EQ(tokenizer.encode(second), std::vector(ids.begin() + 100, ids.begin() + 199));
  const double alone = log_perplexity(eval({kDemo, "-f", "-", "--ctx", "100"}, second));
  EXPECT_NEAR(two, (one + alone) / 2, 1e-5);
}

TEST(Eval, AModelDoesNotDivergeFromItself) {
  const ordered_json found = eval({kDemo, "-f", kStories, "--chunks", "1", "--baseline", kDemo});
  const ordered_json& baseline = found["baseline"];
  EXPECT_EQ(baseline["kl_divergence"]["mean"], 0.0);
  EXPECT_EQ(baseline["kl_divergence"]["max"], 0.0);
  EXPECT_EQ(baseline["perplexity_ratio"], 1.0);
  EXPECT_EQ(baseline["same_top_token"], 1.0);
  EXPECT_EQ(baseline["perplexity"], found["perplexity"]);
}

TEST(Eval, FewerBitsDivergeMore) {
  const TemporaryFolder folder;
  double before = 0;
  for (const auto& [type, bound] :
       std::vector<std::pair<std::string, double>>{{"q8_0", 1e-3}, {"q6_k", 5e-3}, {"q4_0", 0.1}}) {
    const std::string path = folder / (type + ".gguf");
    ASSERT_EQ(run_program({"quantize", kDemo, path, "--type", type}).exit_code, 0);
    const ordered_json found = eval({path, "-f", kStories, "--chunks", "4", "--baseline", kDemo});
    const ordered_json& divergence = found["baseline"]["kl_divergence"];
    const double mean = divergence["mean"];
    EXPECT_GT(mean, before) << type;
    EXPECT_LT(mean, bound) << type;
    EXPECT_LE(divergence["median"], divergence["p99"]) << type;
    EXPECT_LT(divergence["p99"], divergence["max"]) << type;
    EXPECT_GT(found["baseline"]["same_top_token"], 0.9) << type;
    before = mean;
  }
}

TEST(Eval, TableForPeople) {
  const Outcome outcome =
      run_program({"eval", kDemo, "-f", kStories, "--chunks", "1", "--baseline", kDemo});
  EXPECT_THAT(outcome.out, HasSubstr("in 1 chunks of 512; 255 tokens scored"));
  EXPECT_THAT(outcome.out, HasSubstr("\nperplexity "));
  EXPECT_THAT(outcome.out, HasSubstr("\nKL divergence          0.000000"));
  EXPECT_THAT(outcome.out, HasSubstr("\nsame most likely token 100.00 %\n"));
}

TEST(Eval, SaysWhatIsWrongWithTheText) {
  const TemporaryFolder folder;
  const auto with = [&](const std::string& text, const std::vector<std::string>& options = {}) {
    return run_program(std::vector<std::string>{"eval", kDemo, "-f", "-"} + options, text);
  };
  expect_bad_usage(run_program({"eval", kDemo}), "--text is required");
  expect_bad_usage(with("", {"--ctx", "3"}), "--ctx: must be a whole number 4 or more");
  expect_failed(run_program({"eval", kDemo, "-f", folder / "no.txt"}), "no.txt");
  expect_failed(with(""), "standard input is empty");
  expect_failed(with("abc\xff"), "standard input is not UTF-8 text: byte 3");
  expect_failed(with("Once upon a time."), "tokens, a chunk 512; give a longer text");
  expect_failed(with("Once upon a time.", {"--ctx", "5000"}), "takes up to 4096 tokens");
}

TEST(Eval, CollectingAnImportanceMatrixChangesNoFigure) {
  const TemporaryFolder folder;
  ordered_json plain = eval({kDemo, "-f", kStories, "--chunks", "1"});
  ordered_json found =
      eval({kDemo, "-f", kStories, "--chunks", "1", "--collect-imatrix", folder / "matrix.gguf"});
  EXPECT_EQ(found["imatrix"], folder / "matrix.gguf");
  EXPECT_EQ(found["perplexity"], plain["perplexity"]);
  const auto matrix = model::ImportanceMatrix::load(folder / "matrix.gguf").value();
  EXPECT_THAT(matrix.datasets, testing::ElementsAre("stories-b.txt"));
  EXPECT_EQ(matrix.chunk_count, 1U);
  EXPECT_THAT(matrix.entries.at("blk.0.attn_q.weight").counts, testing::ElementsAre(511));
  EXPECT_THAT(matrix.entries.at("token_embd.weight").counts, testing::ElementsAre(255));

  const auto refused = [&](const std::string& path) {
    return run_program({"eval", kDemo, "-f", kStories, "--collect-imatrix", path});
  };
  expect_failed(refused(folder / "matrix.gguf"), "matrix.gguf: exists already");
  expect_failed(refused(folder / "matrix.dat"), "the name must end in .gguf");
  expect_failed(refused(folder / "no/matrix.gguf"), "there is no folder");
}

TEST(Eval, RefusesABaselineOfAnotherVocabulary) {
  const TemporaryFolder folder;
  const std::string other = folder / "other.gguf";
  ASSERT_EQ(run_program({"synth", kGoldens + "/tiny-31b/config.json", other}).exit_code, 0);
  expect_failed(run_program({"eval", kDemo, "-f", kStories, "--baseline", other}),
                "only models of one vocabulary can be compared");
}

}  // namespace
}  // namespace gemma4
