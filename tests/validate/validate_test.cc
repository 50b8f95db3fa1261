#include "lib/validate/validate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"
#include "tests/support/shaped_model.h"

namespace narrow::validate {
namespace {

// y = Gemm(Relu(x), identity): class scores are the inputs themselves.
graph::Model float_model() {
  return test::shaped_graph(R"(agraph (float[N,3] x) => (float[N,3] y)
<float[3,3] w = {1,0,0, 0,1,0, 0,0,1}>
{
  [relu] r = Relu(x)
  [fc] y = Gemm(r, w)
})");
}

graph::Model quantized_model() {
  return test::shaped_graph(R"(agraph (float[N,3] x) => (float[N,3] y)
<int8[3,3] w_q = {1,0,0, 0,1,0, 0,0,1}, float one = {1.0}, int8 z = {0}>
{
  x_q = QuantizeLinear(x, one, z)
  x_dq = DequantizeLinear(x_q, one, z)
  [relu] r = Relu(x_dq)
  r_q = QuantizeLinear(r, one, z)
  r_dq = DequantizeLinear(r_q, one, z)
  w = DequantizeLinear(w_q, one, z)
  [fc] y = Gemm(r_dq, w)
})");
}

Samples samples_of(std::vector<std::vector<float>> rows) {
  Samples samples;
  samples.count = static_cast<int64_t>(rows.size());
  samples.read = [rows](int64_t index) {
    return exec::Feed{{"x", Tensor::of<float>({1, 3}, std::span<const float>(rows[static_cast<size_t>(index)]))}};
  };
  return samples;
}

const std::vector<std::vector<float>> kRows = {{3, 1, 2}, {1.4F, 1.3F, 0}, {2.4F, 2.3F, 2.6F}, {0.4F, 0.6F, 0.7F}};

TEST(Validate, ComparesOutputsLayersAndLabels) {
  Samples samples = samples_of(kRows);
  samples.labels = {0, 0, 2, 2};
  const Validation result = validate(float_model(), quantized_model(), samples, {.speed_turns = 1});
  EXPECT_EQ(result.samples, 4);
  ASSERT_EQ(result.outputs.size(), 1U);
  // Signal 14 + 3.65 + 17.81 + 1.01; noise 0 + (.16 + .09) + (.16 + .09 + .16) + (.16 + .16 + .09).
  EXPECT_NEAR(result.outputs[0].metrics.sqnr_db, 10 * std::log10(36.47 / 1.07), 1e-4);
  EXPECT_NEAR(result.outputs[0].metrics.max_abs_error, 0.4, 1e-6);
  // Rounded rows: [3,1,2] [1,1,0] [2,2,3] [0,1,1]: the last one's winner moves from 2 to 1.
  EXPECT_DOUBLE_EQ(result.outputs[0].agreement.value(), 0.75);
  EXPECT_DOUBLE_EQ(result.outputs[0].accuracy->top1_float, 1.0);
  EXPECT_DOUBLE_EQ(result.outputs[0].accuracy->top1_quantized, 0.75);
  ASSERT_EQ(result.layers.size(), 2U);
  EXPECT_EQ(result.layers[0].value, "x");
  EXPECT_EQ(result.layers[1].value, "r");
  EXPECT_EQ(result.layers[1].node, "relu");
  EXPECT_NEAR(result.layers[1].metrics.sqnr_db, 10 * std::log10(36.47 / 1.07), 1e-4);
  EXPECT_DOUBLE_EQ(result.coverage.mac_share(), 1.0);
  EXPECT_EQ(result.coverage.total_macs(), 9);
  EXPECT_FALSE(result.isa.empty());
  ASSERT_TRUE(result.speed);
  EXPECT_GT(result.speed->ratio, 0);
  std::vector<std::string> timed;
  for (const LayerLatency& layer : result.latencies) timed.insert(timed.end(), layer.nodes.begin(), layer.nodes.end());
  EXPECT_NE(std::find(timed.begin(), timed.end(), "relu"), timed.end());
  EXPECT_NE(std::find(timed.begin(), timed.end(), "fc"), timed.end());
}

TEST(Validate, WithoutLabelsAnOutputInTheFormOfAnInputHasNoAgreement) {
  EXPECT_FALSE(validate(float_model(), quantized_model(), samples_of(kRows), {.speed_turns = 0}).outputs[0].agreement);
}

TEST(Validate, DoesNotDependOnTheWorkers) {
  std::vector<std::vector<float>> rows;
  for (int i = 0; i < 37; ++i) {
    const auto x = static_cast<float>(i);
    rows.push_back({x * 0.37F, x * 0.11F + 1, 5 - x * 0.2F});
  }
  Samples samples = samples_of(rows);
  samples.labels = std::vector<int64_t>(rows.size(), 1);
  const auto run = [&](int workers) {
    return validate(float_model(), quantized_model(), samples,
                    {.workers = workers, .layer_samples = 7, .speed_turns = 0});
  };
  const Validation one = run(1);
  const Validation three = run(3);
  EXPECT_EQ(one.outputs[0].metrics.sqnr_db, three.outputs[0].metrics.sqnr_db);
  EXPECT_EQ(one.outputs[0].metrics.cosine, three.outputs[0].metrics.cosine);
  EXPECT_EQ(one.outputs[0].agreement.value(), three.outputs[0].agreement.value());
  EXPECT_EQ(one.layers[1].metrics.sqnr_db, three.layers[1].metrics.sqnr_db);
  EXPECT_EQ(one.layer_samples, 7);
  EXPECT_EQ(three.layer_samples, 7);
}

TEST(Validate, WhereNoActivationIsQuantizedThereAreNoLayersToCompare) {
  const graph::Model stored = test::shaped_graph(R"(agraph (float[N,3] x) => (float[N,3] y)
<int8[3,3] w_q = {1,0,0, 0,1,0, 0,0,1}, float one = {1.0}, int8 z = {0}>
{ [relu] r = Relu(x) w = DequantizeLinear(w_q, one, z) [fc] y = Gemm(r, w) })");
  const Validation result = validate(float_model(), stored, samples_of(kRows), {.speed_turns = 0});
  EXPECT_TRUE(result.layers.empty());
  EXPECT_EQ(result.layer_samples, 0) << "each sample runs once, not as it is and again with everybody listening";
}

TEST(Validate, RefusesWhatDoesNotFit) {
  Samples samples = samples_of(kRows);
  samples.labels = {0};
  EXPECT_THROW(validate(float_model(), quantized_model(), samples), Error);
  EXPECT_THROW(validate(float_model(), quantized_model(), samples_of(kRows), {.label_output = "z"}), Error);
  const graph::Model other = test::shaped_graph("agraph (float[N,3] v) => (float[N,3] y) { y = Relu(v) }");
  EXPECT_THROW(validate(other, quantized_model(), samples_of(kRows)), Error);
}

TEST(Validate, LeavesOutSamplesWhoseOutputHasAnotherSize) {
  const graph::Model original = test::shaped_graph("agraph (float[1,3] x) => (int64[2,K] y) { y = NonZero(x) }");
  const graph::Model quantized = test::shaped_graph(R"(agraph (float[1,3] x) => (int64[2,K] y)
<float one = {1.0}, int8 z = {0}>
{
  x_q = QuantizeLinear(x, one, z)
  x_dq = DequantizeLinear(x_q, one, z)
  y = NonZero(x_dq)
})");
  const auto output_of = [&](std::vector<std::vector<float>> rows) {
    return validate(original, quantized, samples_of(std::move(rows)), {.speed_turns = 0}).outputs.at(0);
  };
  const OutputComparison some = output_of({{1, 2, 3}, {0.2F, 2, 3}});  // 0.2 rounds to 0
  EXPECT_EQ(some.not_comparable, 1);
  EXPECT_EQ(some.metrics.max_abs_error, 0);
  const OutputComparison none = output_of({{0.2F, 2, 3}});
  EXPECT_EQ(none.not_comparable, 1);
  EXPECT_TRUE(std::isnan(none.metrics.sqnr_db));
}

}  // namespace
}  // namespace narrow::validate
