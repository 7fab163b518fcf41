// What is gathered for importance matrices, against the definition: the inputs of products,
// computed here from the weights.

#include "model/imatrix_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "apps/text_stream.h"
#include "kernels/registry.h"
#include "model/layer_plan.h"
#include "quant/dequantize.h"
#include "tests/tiny_models.h"

namespace gemma4 {
namespace {

using model::ColumnSums;
using Entries = std::map<std::string, ColumnSums, std::less<>>;

constexpr int64_t kTokens = 37;

std::vector<float> row_of(const Matrix& matrix, int64_t row) {
  std::vector<float> values(static_cast<size_t>(matrix.cols));
  const auto* bytes = static_cast<const std::byte*>(matrix.data) + row * matrix.row_bytes();
  quant::dequantize_row(matrix.dtype, bytes, matrix.cols, values.data());
  return values;
}

double gelu(double x) {
  return 0.5 * x *
         (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

// The inputs of the experts' second products, by definition: sums of squares by expert and column.
class ExpertsByDefinition : public ops::Tape {
 public:
  void record(std::string_view entry, const void* args, size_t) override {
    if (entry != "experts") return;
    const auto& a = *static_cast<const kernels::ExpertsArgs*>(args);
    auto& sums = by_weight[a.down.data];
    sums.resize(static_cast<size_t>(a.num_experts * a.width));
    for (int64_t pair = 0; pair < a.tokens * a.top_k; ++pair) {
      const float* x = a.x + pair / a.top_k * a.hidden;
      const int64_t expert = a.experts[pair];
      const auto product = [&](int64_t row) {
        const std::vector<float> w = row_of(a.gate_up, expert * 2 * a.width + row);
        return std::inner_product(w.begin(), w.end(), x, 0.0);
      };
      for (int64_t f = 0; f < a.width; ++f) {
        const double inner = gelu(product(f)) * product(a.width + f);
        sums[static_cast<size_t>(expert * a.width + f)] += inner * inner;
      }
    }
  }
  std::map<const void*, std::vector<double>> by_weight;
};

struct Gathering {
  std::shared_ptr<const model::Model> model;
  std::vector<int32_t> ids;

  explicit Gathering(const std::string& name)
      : model(testing::load_tiny(name)),
        ids(testing::random_tokens(5, kTokens, model->config().text.vocab_size)) {}

  // Runs the tokens in steps of `step`.
  void run(const std::shared_ptr<kernels::Device>& device, ops::Tape& tape, int64_t step) const {
    const auto stream = apps::TextStream::create(model, device,
                                                 {.length = kTokens,
                                                  .step = step,
                                                  .logits = step,
                                                  .forward = {.prompt_shortcut = false},
                                                  .tape = &tape})
                            .value();
    for (int64_t begin = 0; begin < kTokens; begin += step) {
      const auto part = std::span(ids).subspan(
          static_cast<size_t>(begin), static_cast<size_t>(std::min(step, kTokens - begin)));
      std::vector<int32_t> wanted(part.size());
      std::iota(wanted.begin(), wanted.end(), 0);
      ASSERT_TRUE(stream->feed(part, wanted).ok());
    }
  }
  Entries gather(const kernels::Table& table, int64_t step) const {
    const auto device = kernels::make_cpu_device(table, {.num_threads = 2});
    model::ImportanceCollector collector(*model, *device);
    run(device, collector, step);
    return collector.entries().value();
  }
};

void expect_near(const ColumnSums& found, const ColumnSums& expected, double tolerance,
                 const std::string& name) {
  ASSERT_EQ(found.counts, expected.counts) << name;
  ASSERT_EQ(found.squares.size(), expected.squares.size()) << name;
  double largest = 0;
  for (const float square : expected.squares) largest = std::max<double>(largest, square);
  for (size_t i = 0; i < found.squares.size(); ++i)
    EXPECT_NEAR(found.squares[i], expected.squares[i], tolerance * largest) << name << " " << i;
}

class Gathered : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Tiny, Gathered, testing::tiny_models(), testing::tiny_case_name);

// The first layer's queries read the normed embedding.
TEST_P(Gathered, FirstInputIsTheNormedEmbedding) {
  const Gathering gathering(GetParam());
  const model::Model& model = *gathering.model;
  const int64_t hidden = model.config().text.hidden_size;
  const model::Layer& layer = model.weights().layers[0];
  std::vector<double> squares(static_cast<size_t>(hidden));
  for (const int32_t id : gathering.ids) {
    const std::vector<float> e = row_of(model.weights().embed_tokens, model.embedding_id(id));
    double mean = 0;  // of the squares of e · √D
    for (const float v : e) mean += static_cast<double>(v) * v;
    for (size_t j = 0; j < e.size(); ++j) {
      const double normed = e[j] * std::sqrt(static_cast<double>(hidden)) /
                            std::sqrt(mean + layer.input_layernorm.eps) *
                            layer.input_layernorm.weight[j];
      squares[j] += normed * normed;
    }
  }
  const Entries entries = gathering.gather(kernels::reference_table(), kTokens);
  const ColumnSums expected{{squares.begin(), squares.end()}, {kTokens}};
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight"})
    expect_near(entries.at(name), expected, 1e-4, name);
}

TEST_P(Gathered, EveryProductAndNothingElse) {
  const Gathering gathering(GetParam());
  const Entries entries = gathering.gather(kernels::reference_table(), kTokens);
  std::vector<std::string> names, expected;
  for (const auto& [name, sums] : entries) {
    names.push_back(name);
    EXPECT_EQ(
        std::accumulate(sums.counts.begin(), sums.counts.end(), 0.0f),
        kTokens * (sums.num_matrices() > 1 ? gathering.model->config().text.top_k_experts : 1))
        << name;
  }
  for (const auto& tensor :
       model::gguf_tensors(gathering.model->config(), gathering.model->text_prefix())) {
    const bool is_router = tensor.name.ends_with("ffn_gate_inp.weight");
    if ((tensor.is_matrix || is_router) && tensor.name != "per_layer_token_embd.weight")
      expected.push_back(tensor.name);
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAreArray(expected));
}

TEST_P(Gathered, StepsAndKernelsChangeOnlyRoundings) {
  const Gathering gathering(GetParam());
  const Entries reference = gathering.gather(kernels::reference_table(), kTokens);
  const Entries fast = gathering.gather(kernels::all_cpu_tables().front(), 10);
  ASSERT_EQ(fast.size(), reference.size());
  for (const auto& [name, sums] : reference) expect_near(fast.at(name), sums, 1e-4, name);
}

TEST(GatheredExperts, SecondProductsHaveTheirDefinition) {
  const Gathering gathering("tiny-26b");
  const auto device = kernels::make_cpu_device(kernels::reference_table(), {.num_threads = 1});
  ExpertsByDefinition definition;
  gathering.run(device, definition, kTokens);
  const Entries entries = gathering.gather(kernels::reference_table(), kTokens);
  int64_t layers = 0;
  for (const model::Layer& layer : gathering.model->weights().layers) {
    const std::string name = "blk." + std::to_string(layer.plan.index) + ".ffn_down_exps.weight";
    const ColumnSums& found = entries.at(name);
    const std::vector<double>& squares = definition.by_weight.at(layer.experts.down_proj.data);
    expect_near(found, {{squares.begin(), squares.end()}, found.counts}, 1e-4, name);
    ++layers;
  }
  EXPECT_GT(layers, 0);
}

}  // namespace
}  // namespace gemma4
