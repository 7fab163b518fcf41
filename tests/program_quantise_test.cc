// Quantising with an importance matrix, and while loading.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/model_source.h"
#include "apps/text_runner.h"
#include "io/gguf_parts.h"
#include "kernels/registry.h"
#include "model/imatrix.h"
#include "quant/dequantize.h"
#include "tests/checkpoint_testing.h"
#include "tests/program_testing.h"

namespace gemma4 {
namespace {

using model::ImportanceMatrix;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kTexts = std::string(GEMMA4_SOURCE_DIR) + "/tests/text/";

void expect_done(const std::vector<std::string>& arguments) {
  const Outcome outcome = run_program(arguments);
  ASSERT_EQ(outcome.exit_code, 0) << testing::PrintToString(outcome);
}

// Gathered from the first stories, once.
const std::string& demo_matrix() {
  static const TemporaryFolder folder;
  static const std::string path = folder / "matrix.gguf";
  if (!std::filesystem::exists(path))
    expect_done({"eval", kDemo, "-f", kTexts + "stories-a.txt", "--collect-imatrix", path});
  return path;
}

// On the other stories.
double divergence_from_demo(const std::string& path) {
  const Outcome outcome =
      run_program({"eval", path, "-f", kTexts + "stories-b.txt", "--baseline", kDemo, "--json"});
  return parse_json(outcome.out)["baseline"]["kl_divergence"]["mean"];
}

std::vector<float> values_of(const io::GgufTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.num_elements));
  quant::dequantize_row(*io::dtype_of(*tensor.type), tensor.bytes.data(), tensor.num_elements,
                        values.data());
  return values;
}

// Σ importance · (value - original)² over a tensor, by the definition of the matrix's file.
double weighted_error(const io::GgufTensor& tensor, const io::GgufTensor& original,
                      const model::ColumnSums& sums) {
  const std::vector<float> values = values_of(tensor), expected = values_of(original);
  const size_t cols = static_cast<size_t>(tensor.dims[0]);
  const size_t per_matrix = values.size() / sums.counts.size();
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t matrix = i / per_matrix;
    const double weight =
        sums.counts[matrix] > 0 ? sums.squares[matrix * cols + i % cols] / sums.counts[matrix] : 1;
    error += weight * std::pow(static_cast<double>(values[i]) - expected[i], 2);
  }
  return error;
}

// Quantises with the matrix and without; for all tensors with importance together the ratio of the
// errors that it counts.
double ratio_of_errors(const std::string& model, const std::string& matrix,
                       const std::string& type) {
  const TemporaryFolder folder;
  const std::vector<std::string> with = {"--imatrix", matrix}, without = {};
  expect_done(std::vector<std::string>{"quantize", model, folder / "with.gguf", "--type", type} +
              with);
  expect_done({"quantize", model, folder / "without.gguf", "--type", type});
  expect_done({"quantize", model, folder / "original.gguf", "--type", "f32"});
  const auto original = io::GgufParts::open(folder / "original.gguf").value();
  const auto a = io::GgufParts::open(folder / "with.gguf").value();
  const auto b = io::GgufParts::open(folder / "without.gguf").value();
  double error = 0, plain_error = 0;
  for (const auto& [name, sums] : ImportanceMatrix::load(matrix).value().entries) {
    const io::GgufTensor* const tensor = original.find_tensor(name);
    if (tensor == nullptr || name.ends_with("ffn_gate_inp.weight")) continue;
    const double one = weighted_error(*a.find_tensor(name), *tensor, sums);
    const double other = weighted_error(*b.find_tensor(name), *tensor, sums);
    EXPECT_LE(one, 1.02 * other) << name;  // searches are no exhaustive ones
    error += one;
    plain_error += other;
  }
  EXPECT_GT(plain_error, 0);
  return error / plain_error;
}

TEST(QuantizeWithMatrix, ErrorsThatCountAreLess) {
  for (const char* type : {"q4_0", "iq4_nl", "q4_k", "q5_k", "q6_k"})
    EXPECT_LT(ratio_of_errors(kDemo, demo_matrix(), type), 0.95) << type;
}

TEST(QuantizeWithMatrix, ExpertsHaveColumnsOfTheirOwn) {
  const TemporaryFolder folder;
  const std::string model = folder / "model.gguf", matrix = folder / "matrix.gguf";
  expect_done({"convert", kGoldens + "/tiny-26b", model, "--synthetic-vocabulary"});
  expect_done({"eval", model, "-f", kTexts + "stories-a.txt", "--ctx", "128", "--chunks", "2",
               "--collect-imatrix", matrix});
  EXPECT_LT(ratio_of_errors(model, matrix, "q4_0"), 0.95);
}

// The point of it all, on text that the matrix was not gathered from.
TEST(QuantizeWithMatrix, DivergesLess) {
  const TemporaryFolder folder;
  const std::string with = folder / "with.gguf", without = folder / "without.gguf";
  expect_done({"quantize", kDemo, with, "--type", "q4_0", "--imatrix", demo_matrix()});
  expect_done({"quantize", kDemo, without, "--type", "q4_0"});
  EXPECT_LT(divergence_from_demo(with), 0.95 * divergence_from_demo(without));
}

TEST(QuantizeWithMatrix, SaysSoInTheMetadataOfWhatItMade) {
  const TemporaryFolder folder;
  expect_done({"quantize", kDemo, folder / "a.gguf", "--type", "q4_0", "--imatrix", demo_matrix()});
  const auto a = io::GgufParts::open(folder / "a.gguf").value();
  const auto text = [&](const char* key) { return a.metadata().get_string(key).value(); };
  EXPECT_EQ(text("quantize.imatrix.file"), "matrix.gguf");
  EXPECT_EQ(text("quantize.imatrix.dataset"), "stories-a.txt");
  EXPECT_EQ(a.metadata().get_int("quantize.imatrix.chunks_count").value(), 9);
  EXPECT_GT(a.metadata().get_int("quantize.imatrix.entries_count").value(), 50);
  // Not of what is made from that without one; and a second matrix takes the place of the first.
  expect_done({"quantize", folder / "a.gguf", folder / "b.gguf", "--type", "q8_0"});
  const auto b = io::GgufParts::open(folder / "b.gguf").value();
  EXPECT_EQ(b.metadata().find("quantize.imatrix.file"), nullptr);
  expect_done({"quantize", folder / "a.gguf", folder / "c.gguf", "--type", "q4_0", "--imatrix",
               demo_matrix()});
  EXPECT_TRUE(io::GgufParts::open(folder / "c.gguf").ok());
}

TEST(QuantizeWithMatrix, Q8_0IsTheSame) {
  const TemporaryFolder folder;
  expect_done({"quantize", kDemo, folder / "a.gguf", "--type", "q8_0", "--imatrix", demo_matrix()});
  expect_done({"quantize", kDemo, folder / "b.gguf", "--type", "q8_0"});
  const auto a = io::GgufParts::open(folder / "a.gguf").value();
  const auto b = io::GgufParts::open(folder / "b.gguf").value();
  for (const auto& [name, tensor] : a.tensors())
    EXPECT_TRUE(std::ranges::equal(tensor.bytes, b.find_tensor(name)->bytes)) << name;
}

// Weights that were trained for a type keep their values, whatever the inputs are.
TEST(QuantizeWithMatrix, GridsStayExact) {
  const TemporaryFolder folder;
  for (const std::string type : {"q4_0", "iq4_nl"}) {
    const std::string first = folder / (type + "-1.gguf"), floats = folder / (type + "-f32.gguf"),
                      second = folder / (type + "-2.gguf");
    expect_done({"quantize", kDemo, first, "--type", type, "--head", type});
    expect_done({"quantize", first, floats, "--type", "f32"});
    expect_done(
        {"quantize", floats, second, "--type", type, "--head", type, "--imatrix", demo_matrix()});
    const auto a = io::GgufParts::open(first).value();
    const auto b = io::GgufParts::open(second).value();
    for (const auto& [name, tensor] : a.tensors()) {
      if (tensor.type->name == "BF16") continue;  // small rows
      EXPECT_EQ(values_of(tensor), values_of(*b.find_tensor(name))) << name;
    }
  }
}

TEST(QuantizeWithMatrix, WarnsOfWhatIsNotCoveredAndOfWhatIsTooMuch) {
  const TemporaryFolder folder;
  ImportanceMatrix matrix = ImportanceMatrix::load(demo_matrix()).value();
  const std::vector<std::string> command = {"quantize", kDemo,       folder / "a.gguf", "--type",
                                            "q4_0",     "--imatrix", folder / "m.gguf"};
  const Outcome complete = run_program(
      {"quantize", kDemo, folder / "b.gguf", "--type", "q4_0", "--imatrix", demo_matrix()});
  EXPECT_THAT(complete.err, Not(HasSubstr("warning")));
  matrix.entries["blk.99.attn_q.weight"] = matrix.entries.at("blk.0.attn_q.weight");
  matrix.entries.erase("blk.0.attn_q.weight");
  ASSERT_TRUE(matrix.save(folder / "m.gguf").ok());
  const Outcome outcome = run_program(command);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("m.gguf does not cover 1 of the tensors"));
  EXPECT_THAT(outcome.err, HasSubstr("alike: \"blk.0.attn_q.weight\"\n"));
  EXPECT_THAT(outcome.err, HasSubstr("1 entries of"));
  EXPECT_THAT(outcome.err, HasSubstr("\"blk.99.attn_q.weight\"\n"));
}

TEST(QuantizeWithMatrix, RefusesOtherModelsAndOtherFiles) {
  const TemporaryFolder folder, output;
  const auto with = [&](const std::string& matrix) {
    return run_program(
        {"quantize", kDemo, output / "a.gguf", "--type", "q4_0", "--imatrix", matrix});
  };
  ImportanceMatrix matrix = ImportanceMatrix::load(demo_matrix()).value();
  matrix.entries.at("blk.1.ffn_down.weight").squares.resize(64);
  ASSERT_TRUE(matrix.save(folder / "m.gguf").ok());
  expect_failed(with(folder / "m.gguf"),
                "entry \"blk.1.ffn_down.weight\" has 1 x 64 columns, the model's tensor has 1 x");
  expect_failed(with(folder / "no.gguf"), "no.gguf");
  expect_done({"convert", kDemo, folder / "model.gguf"});
  expect_failed(with(folder / "model.gguf"),
                "model.gguf: is a GGUF file, but no importance matrix");
  expect_failed(with(kDemo + "/config.json"), "config.json: is no GGUF file");
  EXPECT_THAT(output.files(), IsEmpty());
}

std::vector<float> logits_of(const std::shared_ptr<const model::Model>& model) {
  std::vector<int32_t> ids = {2};
  for (int32_t i = 1; i < 40; ++i)
    ids.push_back(static_cast<int32_t>(i * 7919 % model->config().text.vocab_size));
  const std::vector<int32_t> positions = {0, 1, 21, 39};
  return apps::TextRunner::create(model, 0).value().logits(ids, positions, 16).value();
}

struct LoadCase {
  std::string model, type;
};
class QuantizeAtLoad : public testing::TestWithParam<LoadCase> {
 protected:
  void SetUp() override {
    const bool is_demo = GetParam().model == "demo";
    checkpoint_ = is_demo ? kDemo : kGoldens + "/" + GetParam().model;
    std::vector<std::string> command = {"quantize", checkpoint_, folder_ / "file.gguf", "--type",
                                        GetParam().type};
    if (!is_demo) command.emplace_back("--synthetic-vocabulary");
    expect_done(command);
  }
  static std::shared_ptr<const model::Model> load(const std::string& path, const std::string& type,
                                                  const kernels::Table& table) {
    const auto device = kernels::make_cpu_device(table, {.num_threads = 2});
    return std::make_shared<const model::Model>(
        apps::open_model(path, device, {.quantize = type}).value());
  }
  TemporaryFolder folder_;
  std::string checkpoint_;
};
INSTANTIATE_TEST_SUITE_P(All, QuantizeAtLoad,
                         testing::Values(LoadCase{"demo", "q8_0"}, LoadCase{"demo", "q4_0"},
                                         LoadCase{"demo", "q5_k"}, LoadCase{"demo", "f16"},
                                         LoadCase{"tiny-e", "q4_0"}, LoadCase{"tiny-26b", "q8_0"},
                                         LoadCase{"tiny-26b", "q4_k"},
                                         LoadCase{"tiny-31b", "q6_k"}),
                         [](const auto& test) {
                           std::string name = test.param.model + "_" + test.param.type;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(QuantizeAtLoad, GivesTheLogitsOfTheQuantisedFile) {
  for (const kernels::Table& table :
       {kernels::all_cpu_tables().front(), kernels::reference_table()}) {
    const auto file = load(folder_ / "file.gguf", "", table);
    const auto loaded = load(checkpoint_, GetParam().type, table);
    EXPECT_EQ(loaded->bytes_per_token(), file->bytes_per_token());
    const std::vector<float> expected = logits_of(file), found = logits_of(loaded);
    ASSERT_EQ(found.size(), expected.size());
    EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0)
        << table.name;
  }
}

// What is packed for the products is there once; only what is looked up by row is there twice.
TEST_P(QuantizeAtLoad, KeepsOneCopy) {
  const auto model = load(checkpoint_, GetParam().type, kernels::all_cpu_tables().front());
  for (const model::NamedMatrix& named : model->matrices()) {
    const bool looked_up = named.name.find("embed_tokens") != named.name.npos;
    if (named.matrix.packed == nullptr || looked_up) {
      EXPECT_NE(named.matrix.data, nullptr) << named.name;
    } else if (named.shape.size() == 2 || named.shape[1] % Matrix::kPackedRows == 0) {
      EXPECT_EQ(named.matrix.data, nullptr) << named.name;
    }
  }
}

TEST(QuantizeAtLoadProgram, EveryCommandTakesIt) {
  const TemporaryFolder folder;
  const std::string file = folder / "a.gguf";
  expect_done({"quantize", kDemo, file, "--type", "q4_0"});
  const std::vector<std::string> prompt = {"-p", "Tell me a story.", "--seed", "5"};
  const Outcome expected = run_program(std::vector<std::string>{"run", file} + prompt);
  const Outcome found =
      run_program(std::vector<std::string>{"run", kDemo, "--quantize", "q4_0"} + prompt);
  EXPECT_EQ(found.exit_code, 0);
  EXPECT_EQ(found.out, expected.out);
  EXPECT_THAT(found.err, HasSubstr("rows that are no whole number of blocks"));

  const auto eval = [](const std::vector<std::string>& model) {
    const Outcome outcome =
        run_program(std::vector<std::string>{"eval"} + model +
                    std::vector<std::string>{"-f", kTexts + "stories-b.txt", "--chunks", "1",
                                             "--baseline", kDemo, "--json"});
    return parse_json(outcome.out);
  };
  const auto at_load = eval({kDemo, "--quantize", "q4_0"}), from_file = eval({file});
  EXPECT_EQ(at_load["perplexity"], from_file["perplexity"]);
  EXPECT_EQ(at_load["baseline"]["kl_divergence"], from_file["baseline"]["kl_divergence"]);

  EXPECT_EQ(run_program({"bench", kDemo, "--quantize", "q8_0", "-p", "5", "-n", "2", "-r", "1"})
                .exit_code,
            0);
  EXPECT_EQ(run_program({"verify", kDemo, "--quantize", "q8_0", "--keys", "text.logits",
                         "--tolerance", "0.03"})
                .exit_code,
            0);
  EXPECT_THAT(run_program({"eval", file, "--quantize", "q8_0", "-f", kTexts + "stories-b.txt"}).err,
              HasSubstr("the weights are "));
  expect_failed(run_program(std::vector<std::string>{"run", kDemo, "--quantize", "q9"} + prompt),
                "--quantize: \"q9\" is none of");
}

}  // namespace
}  // namespace gemma4
