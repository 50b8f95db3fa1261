#include "lib/recover/layerwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "lib/analyze/analyze.h"
#include "lib/exec/float_program.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/rewrite/qdq.h"
#include "lib/tensor/metrics.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

std::vector<float> random_values(size_t count, unsigned seed, float low, float high) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

/// x -> Conv 3x3 -> Relu -> Conv 1x1 -> y, with weights that 7 levels are too few for.
graph::Model two_convolutions() {
  graph::Model model = test::graph_from_text(R"(g (float[1,4,6,6] x) => (float[1,4,6,6] y)
    <float[8] b = {0.1, 0.2, -0.1, 0, 0.3, -0.2, 0, 0.1}, float[4] d = {0, 0, 0.1, 0}> {
      a = Conv <pads: ints = [1, 1, 1, 1]> (x, v, b)
      c = Relu (a)
      y = Conv (c, w, d) })");
  const auto add = [&](const char* name, Shape shape, unsigned seed) {
    const auto count = static_cast<size_t>(element_count(shape));
    *model.mutable_graph().add_initializer() = graph::tensor_proto(
        name, Tensor::of<float>(std::move(shape), std::span<const float>(random_values(count, seed, -1, 1))));
  };
  add("v", {8, 4, 3, 3}, 1);
  add("w", {4, 8, 1, 1}, 2);
  for (int i = 0; i < model.mutable_graph().node_size(); ++i) {
    model.mutable_graph().mutable_node(i)->set_name("n" + std::to_string(i));
  }
  io::infer_shapes(model);
  return model;
}

/// Neighbouring elements resemble each other, as in images: what makes rounding errors add up.
Samples smooth_samples(int64_t count, unsigned first_seed) {
  return {.count = count, .read = [first_seed](int64_t index) {
            const std::vector<float> base = random_values(4, first_seed + static_cast<unsigned>(index), 0, 1);
            std::vector<float> values = random_values(144, first_seed + 500 + static_cast<unsigned>(index), 0, 0.1F);
            for (size_t i = 0; i < values.size(); ++i) values[i] += base[i / 36] + base[0];
            return exec::Feed{{"x", Tensor::of<float>({1, 4, 6, 6}, std::span<const float>(values))}};
          }};
}

plan::PrecisionPlan plan_of(const graph::Model& model, double weight_step) {
  const analyze::Analysis analysis = analyze::analyze(model);
  const plan::Ranges ranges{{"x", {.range = {0, 2.2F}, .calibrator = "", .unusable = {}}},
                            {"a", {.range = {-20, 20}, .calibrator = "", .unusable = {}}},
                            {"c", {.range = {0, 20}, .calibrator = "", .unusable = {}}},
                            {"y", {.range = {-60, 60}, .calibrator = "", .unusable = {}}}};
  plan::PrecisionPlan plan = plan::make_plan(model, analysis, ranges, {});
  for (plan::LayerPlan& layer : plan.layers) {
    if (!layer.weight) continue;
    for (float& scale : layer.weight->params.scales) scale *= static_cast<float>(weight_step);
  }
  return plan;
}

double float_sqnr(const graph::Model& model, const graph::Model& reference) {
  const exec::Program program = exec::compile_float(model);
  const exec::Program wanted = exec::compile_float(reference);
  Workspace workspace;
  ErrorStatistics errors;
  const Samples samples = smooth_samples(10, 9000);
  for (int64_t i = 0; i < samples.count; ++i) {
    errors.add(wanted.run(samples.read(i), workspace)[0].data<float>(),
               program.run(samples.read(i), workspace)[0].data<float>());
  }
  return errors.sqnr_db();
}

double sqnr(const graph::Model& model, const plan::PrecisionPlan& plan, const graph::Model& reference) {
  graph::Model quantized = rewrite::rewrite_to_qdq(model, plan);
  io::infer_shapes(quantized);
  return float_sqnr(quantized, reference);
}

TEST(Layerwise, CoarseWeightsLoseLessOnDataThatChoseNothing) {
  const graph::Model model = two_convolutions();
  const plan::PrecisionPlan plan = plan_of(model, 16);  // 4-bit weights
  const Samples samples = smooth_samples(40, 1);
  const LayerwiseResult result = recover_layerwise(model, plan, samples, {});
  EXPECT_EQ(result.samples, 40);
  ASSERT_EQ(result.layers.size(), 2U);
  EXPECT_LT(result.layers[0].recovered_error, result.layers[0].nearest_error);
  EXPECT_GT(sqnr(result.model, result.plan, model), sqnr(model, plan, model) + 3);
}

/// Weights alone in few bits.
plan::PrecisionPlan stored_plan(const graph::Model& model, quant::QuantType type) {
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kWeightOnly;
  rules.defaults.weights = type;
  return plan::make_plan(model, analyze::analyze(model), {}, rules);
}

/// The float model with its weights rounded to the nearest as the plan says.
graph::Model rounded(graph::Model model, const plan::PrecisionPlan& plan) {
  graph::GraphEditor editor(model);
  for (const plan::LayerPlan& layer : plan.layers) {
    if (!layer.weight) continue;
    const graph::GraphIndex index(model.graph());
    const Tensor weight = model.tensor(*index.initializer(layer.weight->initializer));
    editor.replace_initializer(layer.weight->initializer,
                               quant::dequantize(quant::quantize(weight, layer.weight->params), layer.weight->params));
  }
  return model;
}

TEST(Layerwise, OneAndTwoBitsGetTheirScalesWithTheirCodes) {
  const graph::Model model = two_convolutions();
  for (const quant::QuantType type : {quant::QuantType::kBinary, quant::QuantType::kInt2}) {
    const plan::PrecisionPlan plan = stored_plan(model, type);
    const LayerwiseResult result = recover_layerwise(model, plan, smooth_samples(40, 1), {});
    ASSERT_EQ(result.layers.size(), 2U) << quant::name(type);
    EXPECT_LT(result.layers[0].recovered_error, 0.5 * result.layers[0].nearest_error) << quant::name(type);
    EXPECT_NE(result.plan.layers[0].weight->params.scales, plan.layers[0].weight->params.scales);
    // Nearest rounding by the plan gives the chosen weights back.
    EXPECT_GT(float_sqnr(rounded(result.model, result.plan), result.model), 90) << quant::name(type);
    EXPECT_GT(float_sqnr(result.model, model), float_sqnr(rounded(model, plan), model) + 3) << quant::name(type);
  }
}

TEST(Layerwise, ALayerThatARuleHoldsKeepsNearestRounding) {
  const graph::Model model = two_convolutions();
  plan::PrecisionPlan plan = plan_of(model, 16);
  plan.layers[0].recovery = {plan::RecoveryMethod::kEqualize};
  const LayerwiseResult result = recover_layerwise(model, plan, smooth_samples(40, 1), {});
  ASSERT_EQ(result.layers.size(), 1U);
  EXPECT_EQ(result.layers[0].node, "n2");
  const auto weight = [](const graph::Model& of, const char* name) {
    const Tensor tensor = of.tensor(*graph::GraphIndex(of.graph()).initializer(name));
    const auto values = tensor.data<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  EXPECT_EQ(weight(result.model, "v"), weight(model, "v"));
  EXPECT_NE(weight(result.model, "w"), weight(model, "w"));
}

TEST(Layerwise, ProductsThatOverflowTellNothing) {
  const graph::Model model = two_convolutions();
  const plan::PrecisionPlan plan = stored_plan(model, quant::QuantType::kInt4);
  Samples samples = smooth_samples(10, 1);
  samples.read = [read = samples.read](int64_t index) {
    exec::Feed feed = read(index);
    if (index == 3) feed.at("x").mutable_data<float>()[5] = 1e30F;
    return feed;
  };
  const LayerwiseResult result = recover_layerwise(model, plan, samples, {});
  EXPECT_TRUE(result.layers.empty());
  EXPECT_EQ(result.overflowed, std::vector<std::string>({"n0", "n2"}));
}

/// Weights that are only stored in 4 bits: one scale for each output, or one for each block of neighbours.
plan::PrecisionPlan weight_only_plan(const graph::Model& model, int64_t block) {
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kWeightOnly;
  rules.defaults.weights = quant::QuantType::kInt4;
  if (block > 0) {
    rules.defaults.granularity = plan::Granularity::kPerBlock;
    rules.defaults.block = block;
  }
  return plan::make_plan(model, analyze::analyze(model), {}, rules);
}

TEST(Layerwise, WeightsBesideFloatActivationsLoseLessToo) {
  const graph::Model model = two_convolutions();
  const plan::PrecisionPlan plan = weight_only_plan(model, 0);
  const LayerwiseResult result = recover_layerwise(model, plan, smooth_samples(40, 1), {});
  ASSERT_EQ(result.layers.size(), 2U);
  EXPECT_GT(sqnr(result.model, result.plan, model), sqnr(model, plan, model) + 3);
}

/// Rows of 36 elements times a matrix, without a bias.
graph::Model matrix_product() {
  graph::Model model = test::graph_from_text(R"(g (float[1,4,6,6] x) => (float[1,4,5] y)
    <int64[3] rows = {1, 4, 36}> {
      [n0] r = Reshape (x, rows)
      [n1] y = MatMul (r, w) })");
  *model.mutable_graph().add_initializer() =
      graph::tensor_proto("w", Tensor::of<float>({36, 5}, std::span<const float>(random_values(180, 5, -1, 1))));
  io::infer_shapes(model);
  return model;
}

TEST(Layerwise, BlocksHaveScalesOfTheirOwn) {
  const graph::Model model = matrix_product();
  const plan::PrecisionPlan plan = weight_only_plan(model, 16);
  const LayerwiseResult result = recover_layerwise(model, plan, smooth_samples(40, 1), {});
  ASSERT_EQ(result.layers.size(), 1U);
  const plan::WeightPlan& weight = *result.plan.layers[1].weight;
  ASSERT_EQ(weight.params.scales.size(), 15U);
  EXPECT_GT(sqnr(result.model, result.plan, model), sqnr(model, plan, model) + 3);
  // What the solver calls nearest is what the file would hold.
  EXPECT_NEAR(-10 * std::log10(result.layers[0].nearest_error), sqnr(model, plan, model), 1);
  const Tensor chosen = result.model.tensor(*graph::GraphIndex(result.model.graph()).initializer(weight.initializer));
  const Tensor again = quant::dequantize(quant::quantize(chosen, weight.params), weight.params);
  for (size_t i = 0; i < 180; ++i) EXPECT_EQ(chosen.data<float>()[i], again.data<float>()[i]);
}

TEST(Layerwise, WithoutABiasTheIntegersThemselvesKeepTheMean) {
  // All inputs near 1: an error of the weights' sum is an error of the mean, which no bias takes away.
  const graph::Model model = matrix_product();
  const plan::PrecisionPlan plan = weight_only_plan(model, 0);
  const LayerwiseResult result = recover_layerwise(model, plan, smooth_samples(40, 1), {});
  const graph::GraphIndex index(result.model.graph());
  const Tensor chosen = result.model.tensor(*index.initializer(result.plan.layers[1].weight->initializer));
  const Tensor real = model.tensor(*graph::GraphIndex(model.graph()).initializer("w"));
  for (size_t output = 0; output < 5; ++output) {
    double error = 0;
    for (size_t k = 0; k < 36; ++k) error += chosen.data<float>()[k * 5 + output] - real.data<float>()[k * 5 + output];
    EXPECT_LT(std::abs(error), 0.6 * static_cast<double>(result.plan.layers[1].weight->params.scales[output]));
  }
}

TEST(Layerwise, NearestRoundingGivesTheChosenIntegersBack) {
  const graph::Model model = two_convolutions();
  const LayerwiseResult result = recover_layerwise(model, plan_of(model, 16), smooth_samples(8, 1), {});
  const graph::GraphIndex index(result.model.graph());
  for (const plan::LayerPlan& layer : result.plan.layers) {
    if (!layer.weight) continue;
    const Tensor weight = result.model.tensor(*index.initializer(layer.weight->initializer));
    const Tensor again = quant::dequantize(quant::quantize(weight, layer.weight->params), layer.weight->params);
    for (size_t i = 0; i < weight.data<float>().size(); ++i) ASSERT_EQ(weight.data<float>()[i], again.data<float>()[i]);
  }
}

TEST(Layerwise, ExactWeightsStayAsTheyAre) {
  graph::Model model = two_convolutions();
  const plan::PrecisionPlan plan = plan_of(model, 1);
  graph::GraphEditor editor(model);
  for (const plan::LayerPlan& layer : plan.layers) {
    if (!layer.weight) continue;
    const std::string& name = layer.weight->initializer;
    const Tensor weight = model.tensor(*graph::GraphIndex(model.graph()).initializer(name));
    editor.replace_initializer(name,
                               quant::dequantize(quant::quantize(weight, layer.weight->params), layer.weight->params));
  }
  const LayerwiseResult result = recover_layerwise(model, plan, smooth_samples(40, 1), {});
  EXPECT_GT(sqnr(result.model, result.plan, model), sqnr(model, plan, model) - 0.5);
}

TEST(Layerwise, AWeightThatLayersShareStaysOne) {
  graph::Model model = test::graph_from_text(R"(g (float[1,4,6,6] x) => (float[1,4,6,6] y)
    <float[4] b = {0.1, 0.2, -0.1, 0}, float[4] d = {0, 0, 0.1, 0}> {
      [n0] a = Conv (x, w, b)
      [n1] c = Relu (a)
      [n2] y = Conv (c, w, d) })");
  *model.mutable_graph().add_initializer() =
      graph::tensor_proto("w", Tensor::of<float>({4, 4, 1, 1}, std::span<const float>(random_values(16, 3, -1, 1))));
  io::infer_shapes(model);
  const plan::PrecisionPlan plan = plan_of(model, 16);
  const LayerwiseResult result = recover_layerwise(model, plan, smooth_samples(20, 100), {});
  EXPECT_TRUE(result.layers.empty());
  for (const plan::LayerPlan& layer : result.plan.layers) {
    if (!layer.weight) continue;
    EXPECT_EQ(layer.weight->initializer, "w");
  }
}

TEST(Layerwise, SameResultAtAnyNumberOfWorkers) {
  const graph::Model model = two_convolutions();
  const plan::PrecisionPlan plan = plan_of(model, 16);
  const auto bytes = [&](int workers) {
    return recover_layerwise(model, plan, smooth_samples(9, 1), {.workers = workers}).model.proto().SerializeAsString();
  };
  EXPECT_EQ(bytes(1), bytes(2));
  EXPECT_EQ(bytes(1), bytes(5));
}

TEST(Layerwise, LittleMemoryTakesFewerSamples) {
  const graph::Model model = two_convolutions();
  const LayerwiseResult result =
      recover_layerwise(model, plan_of(model, 16), smooth_samples(40, 1), {.memory_bytes = 20'000});
  EXPECT_GE(result.samples, 1);
  EXPECT_LT(result.samples, 20);
}

}  // namespace
}  // namespace narrow::recover
