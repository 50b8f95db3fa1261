#include "lib/recover/smooth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "lib/analyze/analyze.h"
#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/recover/row_statistics.h"
#include "lib/recover/smooth_place.h"
#include "lib/rewrite/qdq.h"
#include "lib/tensor/metrics.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

constexpr int64_t kChannels = 16;

std::vector<float> normal_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

/// Rows of any number; the last two channels `wide` times wider than the others.
Samples rows_of(float wide) {
  return {.count = 24, .read = [wide](int64_t index) {
            const int64_t rows = 5 + index % 7;
            std::vector<float> values =
                normal_values(static_cast<size_t>(rows * kChannels), 7 + static_cast<unsigned>(index));
            for (size_t i = 0; i < values.size(); ++i) values[i] *= i % kChannels >= kChannels - 2 ? wide : 1.0F;
            return exec::Feed{{"x", Tensor::of<float>({1, rows, kChannels}, std::span<const float>(values))}};
          }};
}

void add_weight(graph::Model& model, const char* name, unsigned seed) {
  *model.mutable_graph().add_initializer() = graph::tensor_proto(
      name,
      Tensor::of<float>({kChannels, kChannels}, std::span<const float>(normal_values(kChannels * kChannels, seed))));
}

graph::Model named(graph::Model model) {
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) node.set_name(node.output(0));
  io::infer_shapes(model);
  return model;
}

/// Somebody else reads what the products read: a Mul must be added.
graph::Model with_residual() {
  graph::Model model = test::graph_from_text(R"(g (float[1,T,16] x) => (float[1,T,16] y) {
      r = Identity (x)
      a = MatMul (r, v)
      b = MatMul (r, w)
      s = Add (a, b)
      t = Add (s, r)
      y = Softsign (t) })");
  add_weight(model, "v", 1);
  add_weight(model, "w", 2);
  return named(std::move(model));
}

/// The product in front takes the factors.
graph::Model chain() {
  graph::Model model = test::graph_from_text(R"(g (float[1,T,16] x) => (float[1,T,16] y) {
      a = MatMul (x, v)
      r = Relu (a)
      y = MatMul (r, w) })");
  add_weight(model, "v", 1);
  add_weight(model, "w", 2);
  return named(std::move(model));
}

plan::PrecisionPlan plan_of(const graph::Model& model, const Samples& samples) {
  const analyze::Analysis analysis = analyze::analyze(model);
  std::vector<std::string> values;
  for (const auto& group : analysis.groups) values.push_back(group.representative);
  plan::Ranges ranges;
  for (const auto& [value, seen] : observe_rows(model, samples, values, {.rows = 0, .workers = 1})) {
    ranges[value] = {.range = {*std::min_element(seen.low.begin(), seen.low.end()),
                               *std::max_element(seen.high.begin(), seen.high.end())},
                     .calibrator = "",
                     .unusable = {}};
  }
  return plan::make_plan(model, analysis, ranges, {});
}

double sqnr(const graph::Model& model, const graph::Model& reference, const Samples& samples) {
  graph::Model quantized = rewrite::rewrite_to_qdq(model, plan_of(model, samples));
  io::infer_shapes(quantized);
  const exec::Program program = exec::compile_float(quantized);
  const exec::Program wanted = exec::compile_float(reference);
  Workspace workspace;
  ErrorStatistics errors;
  for (int64_t i = 0; i < samples.count; ++i) {
    const exec::Feed feed = samples.read(i);
    errors.add(wanted.run(feed, workspace)[0].data<float>(), program.run(feed, workspace)[0].data<float>());
  }
  return errors.sqnr_db();
}

void expect_same_function(const graph::Model& a, const graph::Model& b, const Samples& samples) {
  Workspace workspace;
  const Tensor x = exec::compile_float(a).run(samples.read(3), workspace)[0];
  const Tensor y = exec::compile_float(b).run(samples.read(3), workspace)[0];
  ASSERT_EQ(x.shape(), y.shape());
  for (size_t i = 0; i < x.data<float>().size(); ++i) EXPECT_NEAR(x.data<float>()[i], y.data<float>()[i], 1e-3);
}

TEST(Smooth, WideChannelsAreNarrowedByAMulWhereOthersReadThemToo) {
  const graph::Model model = with_residual();
  const Samples samples = rows_of(100);
  const plan::PrecisionPlan plan = plan_of(model, samples);
  EXPECT_EQ(smoothable(model, plan), std::vector<std::string>{"r"});
  const auto values = search_smoothing(model, plan, samples, {.workers = 2});
  ASSERT_EQ(values.size(), 1U);
  EXPECT_EQ(values[0].value, "r");
  const graph::Model smoothed = smooth(model, values, samples, 2);
  expect_same_function(model, smoothed, samples);
  const graph::GraphIndex index(smoothed.graph());
  EXPECT_EQ(index.producer(index.node("a")->input(0))->op_type(), "Mul");
  EXPECT_EQ(index.node("a")->input(0), index.node("b")->input(0));
  EXPECT_EQ(index.node("t")->input(1), "r");
  // The wide channels dominate the output; what the search is about is the error of the products.
  EXPECT_GT(sqnr(smoothed, model, samples), sqnr(model, model, samples) + 3);
}

TEST(Smooth, ProductsThatARuleHoldsAreNotSmoothed) {
  const graph::Model model = with_residual();
  plan::PrecisionPlan plan = plan_of(model, rows_of(100));
  for (plan::LayerPlan& layer : plan.layers) {
    if (layer.node == "b") layer.recovery = {plan::RecoveryMethod::kRound};
  }
  EXPECT_TRUE(smoothable(model, plan).empty()) << "the other product reads the same value";
}

TEST(Smooth, TheSearchDoesNotDependOnTheNumberOfWorkers) {
  const graph::Model model = with_residual();
  const Samples samples = rows_of(30);
  const plan::PrecisionPlan plan = plan_of(model, samples);
  EXPECT_EQ(search_smoothing(model, plan, samples, {.workers = 1}),
            search_smoothing(model, plan, samples, {.workers = 3}));
}

TEST(Smooth, ConstantsInFrontTakeTheFactors) {
  graph::Model model = chain();
  // Two columns of the first weight make two wide channels.
  Tensor first = model.tensor(*graph::GraphIndex(model.graph()).initializer("v"));
  for (size_t i = 0; i < kChannels; ++i) {
    for (const size_t column : {3, 9}) first.mutable_data<float>()[i * kChannels + column] *= 40;
  }
  graph::GraphEditor(model).replace_initializer("v", first);
  const Samples samples = rows_of(1);
  const auto values = search_smoothing(model, plan_of(model, samples), samples, {});
  ASSERT_EQ(values.size(), 1U);
  EXPECT_EQ(values[0].value, "r");
  const graph::Model smoothed = smooth(model, values, samples, 1);
  EXPECT_EQ(smoothed.graph().node_size(), model.graph().node_size());
  Workspace workspace;
  const Tensor wanted = exec::compile_float(model).run(samples.read(0), workspace)[0];
  const Tensor got = exec::compile_float(smoothed).run(samples.read(0), workspace)[0];
  for (size_t i = 0; i < wanted.data<float>().size(); ++i) {
    EXPECT_NEAR(got.data<float>()[i], wanted.data<float>()[i], 1e-2);
  }
}

TEST(Smooth, EqualChannelsStayAsTheyAre) {
  const graph::Model model = with_residual();
  const Samples samples = rows_of(1);
  EXPECT_TRUE(search_smoothing(model, plan_of(model, samples), samples, {}).empty());
}

TEST(Smooth, ItsNodesAreKnownWithoutData) {
  const graph::Model model = with_residual();
  const std::vector<plan::SmoothedValue> values{{.value = "r", .activation_power = 0.5, .weight_power = 0}};
  const graph::Model smoothed = smooth(model, values, rows_of(10), 1);
  const graph::Model nodes = smooth_nodes(model, values);
  ASSERT_EQ(nodes.graph().node_size(), smoothed.graph().node_size());
  for (int i = 0; i < nodes.graph().node_size(); ++i) {
    EXPECT_EQ(nodes.graph().node(i).SerializeAsString(), smoothed.graph().node(i).SerializeAsString());
  }
  EXPECT_THROW(smooth_nodes(model, {{.value = "y"}}), Error);
}

RowStatistics of_samples(const std::vector<std::vector<double>>& largest) {
  RowStatistics seen;
  const size_t channels = largest[0].size();
  seen.low.assign(channels, 0);
  seen.high.assign(channels, 0);
  seen.sums.assign(channels, 0);
  seen.squares.assign(channels, 0);
  for (const auto& sample : largest) {
    ++seen.samples;
    for (size_t i = 0; i < channels; ++i) {
      seen.high[i] = std::max(seen.high[i], static_cast<float>(sample[i]));
      seen.sums[i] += sample[i];
      seen.squares[i] += sample[i] * sample[i];
    }
  }
  return seen;
}

TEST(RowStatistics, ChannelsAreAsWideAsSamplesReachAsARule) {
  // Root mean squares. One sample of four reaches 8 in the second channel: it counts half of that, not all.
  const std::vector<double> sizes = of_samples({{1, 0}, {7, 0}, {1, 8}, {7, 0}}).sizes();
  EXPECT_NEAR(sizes[0], 5, 1e-6);
  EXPECT_NEAR(sizes[1], 4, 1e-6);
}

TEST(RowStatistics, ChannelsThatFewSamplesShowCountNearlyAsTheMedian) {
  // Of 16 samples one opens the second channel, by a thousandth, none the third, one the fourth, widely. Four are
  // enough.
  std::vector<std::vector<double>> samples(16, {1, 0, 0, 0, 1});
  samples[5] = {1, 1e-3, 0, 50, 1};
  const std::vector<double> sizes = of_samples(samples).sizes();
  EXPECT_NEAR(sizes[0], 1, 1e-9);
  const double seen = 1e-3 * std::sqrt(1.0 / 16);
  EXPECT_NEAR(sizes[1], std::pow(seen, 0.25), 1e-6);
  EXPECT_NEAR(sizes[2], 1, 1e-9);
  EXPECT_NEAR(sizes[3], 50 * std::sqrt(1.0 / 16), 1e-9);
}

TEST(Smooth, AChannelThatHardlyAnySampleOpensIsNotScaledUp) {
  graph::Model model = chain();
  // The Relu lets channel 5 through for little more than nothing in one sample: on other data it may be as wide as
  // others.
  Tensor first = model.tensor(*graph::GraphIndex(model.graph()).initializer("v"));
  for (size_t i = 0; i < kChannels; ++i) {
    float& weight = first.mutable_data<float>()[i * kChannels + 5];
    weight = i == 0 ? 1.0F : 0.0F;
  }
  graph::GraphEditor(model).replace_initializer("v", first);
  const Samples samples{.count = 24, .read = [read = rows_of(1).read](int64_t index) {
                          exec::Feed feed = read(index);
                          const auto values = feed.at("x").mutable_data<float>();
                          for (size_t i = 0; i < values.size(); i += kChannels) values[i] = -std::abs(values[i]);
                          if (index == 7) values[0] = 1e-3F;
                          return feed;
                        }};
  const std::vector<plan::SmoothedValue> values{{.value = "r", .activation_power = 1, .weight_power = 0}};
  const graph::Model smoothed = smooth(model, values, samples, 1);
  const Tensor after = smoothed.tensor(
      *graph::GraphIndex(smoothed.graph()).initializer(graph::GraphIndex(smoothed.graph()).node("a")->input(1)));
  const float scaled = after.data<float>()[5] / first.data<float>()[5];
  std::vector<float> others;
  for (size_t i = 0; i < kChannels; ++i) {
    if (i != 5) others.push_back(after.data<float>()[i] / first.data<float>()[i]);
  }
  EXPECT_LT(scaled, 5 * *std::max_element(others.begin(), others.end()));
}

TEST(Smooth, SmoothedValuesAreNamed) {
  // A Mul in front of the product makes a new value; constants in front take the factors of the old one.
  const graph::Model residual = with_residual();
  const std::vector<plan::SmoothedValue> r{{.value = "r", .activation_power = 0.5, .weight_power = 0}};
  const graph::Model behind = smooth(residual, r, rows_of(10), 1);
  EXPECT_EQ(smoothed_values(residual, behind, r), std::vector<std::string>{"r_smooth"});
  const graph::Model model = chain();
  EXPECT_EQ(smoothed_values(model, smooth(model, r, rows_of(10), 1), r), std::vector<std::string>{"r"});
}

TEST(SmoothFactors, ArePowersWithMeanOne) {
  // 4^0.5 / 1 against 1^0.5 / 4^-0.5: both channels 2 and 2: after dividing by the mean, 1.
  const std::vector<double> same = smooth_factors({4, 1}, {4, 1}, {.activation_power = 0.5, .weight_power = 0.5});
  EXPECT_NEAR(same[0], 1, 1e-12);
  const std::vector<double> by_activation = smooth_factors({4, 1}, {1, 1}, {.activation_power = 1, .weight_power = 0});
  EXPECT_NEAR(by_activation[0], 2, 1e-12);
  EXPECT_NEAR(by_activation[1], 0.5, 1e-12);
}

}  // namespace
}  // namespace narrow::recover
