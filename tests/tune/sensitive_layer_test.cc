// A real small model with one layer that 8 bits are too few for: every part of the search together.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "lib/analyze/analyze.h"
#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/rewrite/qdq.h"
#include "lib/tensor/metrics.h"
#include "lib/tune/search.h"
#include "tests/support/model_text.h"

namespace narrow::tune {
namespace {

constexpr int64_t kWidth = 16;

std::vector<float> random_values(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

/// Four products in a row. The third's weight has one element, on an input that is always 0, a thousand times larger
/// than the rest: with one scale for all, the rest rounds to almost nothing.
graph::Model four_products() {
  graph::Model model = test::graph_from_text(R"(g (float[1,16] x) => (float[1,16] y) {
      a = Gemm (x, w0) b = Relu (a) c = Gemm (b, w1) d = Relu (c) e = Gemm (d, w2) f = Relu (e) y = Gemm (f, w3) })");
  for (unsigned i = 0; i < 4; ++i) {
    std::vector<float> values = random_values(kWidth * kWidth, i);
    if (i == 1) {
      for (size_t row = 0; row < kWidth; ++row) values[row * kWidth] = -1;  // its Relu never lets channel 0 through
    }
    if (i == 2) values[0] = 1000;
    *model.mutable_graph().add_initializer() = graph::tensor_proto(
        "w" + std::to_string(i), Tensor::of<float>({kWidth, kWidth}, std::span<const float>(values)));
  }
  for (int i = 0; i < model.mutable_graph().node_size(); ++i) {
    model.mutable_graph().mutable_node(i)->set_name("n" + std::to_string(i));
  }
  io::infer_shapes(model);
  return model;
}

exec::Feed feed(int64_t index) {
  const std::vector<float> values = random_values(kWidth, 100 + static_cast<unsigned>(index));
  return {{"x", Tensor::of<float>({1, kWidth}, std::span<const float>(values))}};
}

struct Case {
  graph::Model model = four_products();
  analyze::Analysis analysis = analyze::analyze(model);
  plan::Rules rules;
  plan::Ranges ranges;

  Case() {
    rules.defaults.granularity = plan::Granularity::kPerTensor;
    const exec::Program program =
        exec::compile_float(model, {.observed = {"a", "b", "c", "d", "e", "f", "y"}, .fuse = false});
    struct Extremes : exec::TensorListener {
      std::map<std::string, quant::Range> ranges;
      void on_value(const std::string& value, const Tensor& tensor) override {
        for (const float x : tensor.data<float>()) {
          ranges[value].rmin = std::min(ranges[value].rmin, x);
          ranges[value].rmax = std::max(ranges[value].rmax, x);
        }
      }
    } seen;
    Workspace workspace;
    for (int64_t i = 0; i < 50; ++i) program.run(feed(i), workspace, {.listener = &seen});
    seen.ranges["x"] = {-1, 1};
    for (const auto& [name, range] : seen.ranges) {
      ranges[name] = {.range = range, .calibrator = "minmax", .unusable = {}};
    }
  }

  Space space() const { return make_space({model, analysis, ranges, rules}, {Choice::kConfig, Choice::kFloat}); }

  PlanInputs inputs() const { return {model, analysis, ranges, rules}; }
  static recover::Samples samples() { return {.count = 8, .read = feed}; }
};

TEST(SensitiveLayer, EachEffectIsThatOfTheWholeModelWithOneTensorRounded) {
  const Case c;
  const Space space = c.space();
  const Sensitivity table = measure_sensitivity(c.model, space.components, Case::samples(), {}, {.workers = 2});
  ASSERT_EQ(table.size(), space.components.size());
  const exec::Program reference = exec::compile_float(c.model);
  for (const Component& component : space.components) {
    if (!component.constant) continue;
    graph::Model changed = c.model;
    for (onnx::TensorProto& tensor : *changed.mutable_graph().mutable_initializer()) {
      if (tensor.name() != component.tensor) continue;
      const Tensor rounded =
          quant::dequantize(quant::quantize(changed.tensor(tensor), component.params), component.params);
      tensor = graph::tensor_proto(component.tensor, rounded);
    }
    const exec::Program program = exec::compile_float(changed);
    ErrorStatistics errors;
    Workspace workspace;
    for (int64_t i = 0; i < 8; ++i) {
      errors.add(reference.run(feed(i), workspace)[0].data<float>(), program.run(feed(i), workspace)[0].data<float>());
    }
    EXPECT_NEAR(table.at(component.key).sqnr_db(), errors.sqnr_db(), 1e-3) << component.key;
  }
  const Sensitivity alone = measure_sensitivity(c.model, space.components, Case::samples(), {}, {.workers = 1});
  for (const auto& [key, effect] : table) EXPECT_EQ(effect.noise, alone.at(key).noise) << key;
}

/// SQNR of the outputs of the written model, in dB, where some nodes are as the rules say and the others float32.
double sqnr_with(const Case& c, const std::vector<std::string>& floating) {
  plan::Rules rules = c.rules;
  for (const std::string& node : floating) {
    plan::Rule rule{.match = plan::match_name(node), .set = {}, .text = node};
    rule.set.keep_float = true;
    rules.rules.push_back(rule);
  }
  graph::Model quantized = rewrite::rewrite_to_qdq(c.model, plan::make_plan(c.model, c.analysis, c.ranges, rules));
  io::infer_shapes(quantized);
  const exec::Program reference = exec::compile_float(c.model);
  const exec::Program program = exec::compile_float(quantized);
  ErrorStatistics errors;
  Workspace workspace;
  for (int64_t i = 0; i < 8; ++i) {
    errors.add(reference.run(feed(i), workspace)[0].data<float>(), program.run(feed(i), workspace)[0].data<float>());
  }
  return errors.sqnr_db();
}

TEST(SensitiveLayer, AloneQuantizedAndAloneFloatAreWhatTheWrittenModelsDo) {
  const Case c;
  const Space space = c.space();
  std::vector<LayerGroup> groups = layer_groups(c.model, space);
  groups.push_back({"group n[02]", {0, 1}});
  const Sensitivity table = measure_groups(c.inputs(), space, groups, Case::samples(), {}, {}, {.workers = 2});
  ASSERT_EQ(table.size(), 2 * groups.size() + 2);
  EXPECT_EQ(table.at(kNothingKey).noise, 0);
  EXPECT_NEAR(table.at(kAllKey).sqnr_db(), sqnr_with(c, {}), 0.05);
  for (const LayerGroup& group : groups) {
    std::vector<std::string> inside;
    std::vector<std::string> outside;
    for (size_t i = 0; i < space.items.size(); ++i) {
      const bool is_inside = std::find(group.items.begin(), group.items.end(), i) != group.items.end();
      (is_inside ? inside : outside).push_back(space.items[i].node);
    }
    EXPECT_NEAR(table.at(group.quantized_key()).sqnr_db(), sqnr_with(c, outside), 0.05) << group.name;
    EXPECT_NEAR(table.at(group.float_key()).sqnr_db(), sqnr_with(c, inside), 0.05) << group.name;
  }
  EXPECT_GT(table.at("left float alone: layer n4").sqnr_db(), table.at(kAllKey).sqnr_db() + 10)
      << "it is what makes nearly all the noise";
}

/// Every second product on integers of what it reads, the sum behind it of the float value.
TEST(SensitiveLayer, DynamicProductsReadRoundedValuesAndOthersDoNot) {
  Case c;
  c.model = test::graph_from_text(R"(g (float[1,16] x) => (float[1,16] y) {
      a = MatMul (x, w0) b = Relu (a) e = MatMul (b, w1) y = Add (b, e) })");
  for (unsigned i = 0; i < 2; ++i) {
    *c.model.mutable_graph().add_initializer() = graph::tensor_proto(
        "w" + std::to_string(i), Tensor::of<float>({kWidth, kWidth}, std::span<const float>(random_values(256, i))));
  }
  for (onnx::NodeProto& node : *c.model.mutable_graph().mutable_node()) node.set_name("at " + node.output(0));
  io::infer_shapes(c.model);
  c.analysis = analyze::analyze(c.model);
  c.rules.defaults.mode = plan::Mode::kDynamic;
  c.ranges = {};
  const Space space = c.space();
  const std::vector<LayerGroup> groups{{"layer at e", {1}}};
  ASSERT_EQ(space.nodes()[1], "at e");
  const Sensitivity table = measure_groups(c.inputs(), space, groups, Case::samples(), {}, {}, {.workers = 2});
  EXPECT_NEAR(table.at(kAllKey).sqnr_db(), sqnr_with(c, {}), 0.05);
  EXPECT_NEAR(table.at(groups[0].quantized_key()).sqnr_db(), sqnr_with(c, {"at a"}), 0.05);
  EXPECT_NEAR(table.at(groups[0].float_key()).sqnr_db(), sqnr_with(c, {"at e"}), 0.05);
  c.rules.defaults.mode = plan::Mode::kWeightOnly;
  EXPECT_GT(sqnr_with(c, {}), table.at(kAllKey).sqnr_db() + 1) << "rounded activations show";
}

TEST(SensitiveLayer, GroupsGoOnWhereTheyWereInterrupted) {
  const Case c;
  const Space space = c.space();
  const std::vector<LayerGroup> groups = layer_groups(c.model, space);
  const Sensitivity whole = measure_groups(c.inputs(), space, groups, Case::samples(), {}, {}, {});
  Sensitivity kept;
  SensitivityOptions options{.workers = 2, .keep = {}, .progress = {}};
  options.keep = [&](const Sensitivity& known) { kept = known; };
  options.progress = [](std::string_view, int64_t done, int64_t) {
    if (done == 6) request_interruption();
  };
  EXPECT_THROW(measure_groups(c.inputs(), space, groups, Case::samples(), {}, {}, options), Error);
  acknowledge_interruption();
  EXPECT_EQ(kept.size(), 6U);
  const Sensitivity resumed = measure_groups(c.inputs(), space, groups, Case::samples(), {}, kept, {.workers = 3});
  ASSERT_EQ(resumed.size(), whole.size());
  for (const auto& [key, effect] : whole) EXPECT_EQ(resumed.at(key).noise, effect.noise) << key;
}

TEST(SensitiveLayer, LabelsCountWhatIsAnsweredRight) {
  const Case c;
  const Space space = c.space();
  const exec::Program reference = exec::compile_float(c.model);
  Workspace workspace;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 8; ++i) {
    const Tensor scores = reference.run(feed(i), workspace)[0];
    const auto values = scores.data<float>();
    const auto best = std::max_element(values.begin(), values.end()) - values.begin();
    labels.push_back(i < 6 ? best : (best + 1) % kWidth);
  }
  const Sensitivity table = measure_groups(c.inputs(), space, {}, Case::samples(), labels, {}, {});
  EXPECT_EQ(table.at(kNothingKey).top1, 0.75);
  ASSERT_TRUE(table.at(kAllKey).top1);
  EXPECT_LT(*table.at(kAllKey).top1, 0.75);
  labels.pop_back();
  EXPECT_THROW(measure_groups(c.inputs(), space, {}, Case::samples(), labels, {}, {}), Error);
}

/// Two residual blocks behind a stem; a mask passes everywhere and is no computed value.
TEST(SensitiveLayer, BlocksEndWhereOneValuePasses) {
  graph::Model model = test::graph_from_text(R"(g (float[1,16] x, float[1,16] mask) => (float[1,16] y) {
      stem = MatMul (x, w0)
      a = MatMul (stem, w1) ar = Relu (a) b = MatMul (ar, w2) bm = Mul (b, mask) c = Add (stem, bm)
      d = MatMul (c, w3) dr = Relu (d) e = MatMul (dr, w4) em = Mul (e, mask) f = Add (c, em)
      y = MatMul (f, w5) })");
  for (unsigned i = 0; i < 6; ++i) {
    *model.mutable_graph().add_initializer() = graph::tensor_proto(
        "w" + std::to_string(i), Tensor::of<float>({kWidth, kWidth}, std::span<const float>(random_values(256, i))));
  }
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) node.set_name("at " + node.output(0));
  io::infer_shapes(model);
  const analyze::Analysis analysis = analyze::analyze(model);
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kWeightOnly;
  const Space space = make_space({model, analysis, {}, rules}, {Choice::kConfig, Choice::kFloat});
  std::map<std::string, std::vector<std::string>> members;
  for (const LayerGroup& group : layer_groups(model, space)) {
    for (const size_t item : group.items) members[group.name].push_back(space.items[item].node);
  }
  using Nodes = std::vector<std::string>;
  EXPECT_EQ(members.at("block at a to at b"), (Nodes{"at a", "at b"}));
  EXPECT_EQ(members.at("block at d to at e"), (Nodes{"at d", "at e"}));
  EXPECT_EQ(members.at("layer at stem"), Nodes{"at stem"});
  EXPECT_EQ(members.size(), 6U + 2U) << "one operator type is the whole model, no group";
}

TEST(SensitiveLayer, AnInterruptedTableIsKept) {
  const Case c;
  const Space space = c.space();
  Sensitivity kept;
  SensitivityOptions options;
  options.keep = [&](const Sensitivity& known) { kept = known; };
  options.progress = [](std::string_view, int64_t done, int64_t) {
    if (done == 3) request_interruption();
  };
  EXPECT_THROW(measure_sensitivity(c.model, space.components, Case::samples(), {}, options), Error);
  acknowledge_interruption();
  EXPECT_EQ(kept.size(), 3U);
  const Sensitivity whole = measure_sensitivity(c.model, space.components, Case::samples(), {}, {});
  const Sensitivity resumed = measure_sensitivity(c.model, space.components, Case::samples(), kept, {});
  ASSERT_EQ(resumed.size(), whole.size());
  for (const auto& [key, effect] : whole) EXPECT_EQ(resumed.at(key).noise, effect.noise) << key;
}

TEST(SensitiveLayer, IsTheOneThatTheSearchTurnsFloat) {
  const Case c;
  const Space space = c.space();
  const Sensitivity table = measure_sensitivity(c.model, space.components, Case::samples(), {}, {});
  const Judge judge(c.model, {.count = 40, .read = [](int64_t i) { return feed(200 + i); }, .labels = {}}, 2);
  SearchHooks hooks;
  hooks.measure = [&](const std::vector<Choice>& choices) {
    const plan::PrecisionPlan plan =
        plan::make_plan(c.model, c.analysis, c.ranges, rules_for(c.rules, space.nodes(), choices));
    graph::Model quantized = rewrite::rewrite_to_qdq(c.model, plan);
    io::infer_shapes(quantized);
    return Measurement{.quality = judge.measure(quantized), .bytes = 0};
  };
  const NoiseModel noise(space, table, {});
  const SearchResult result = search(space, noise, {.limit = Limit::kSqnr, .value = 22}, hooks, {});
  ASSERT_TRUE(result.kept);
  EXPECT_LT(result.trials[0].measurement.quality.sqnr_db, 10);
  std::vector<std::string> floating;
  for (size_t i = 0; i < space.items.size(); ++i) {
    if (result.trials[result.best].choices[i] == Choice::kFloat) floating.push_back(space.items[i].node);
  }
  EXPECT_EQ(floating, std::vector<std::string>{"n4"});
}

TEST(SensitiveLayer, SixteenBitFloatsAreNoiseToo) {
  Case c;
  c.rules.defaults.mode = plan::Mode::kFloat16;
  const Space space = c.space();
  const Sensitivity table = measure_sensitivity(c.model, space.components, Case::samples(), {}, {});
  const NoiseModel noise(space, table, {});
  Assignment halves(space.items.size(), 0);
  Assignment floats(space.items.size(), 0);
  for (size_t i = 0; i < space.items.size(); ++i) {
    ASSERT_EQ(space.items[i].options.size(), 2U) << space.items[i].node;
    EXPECT_TRUE(space.items[i].options[0].half) << space.items[i].node;
    floats[i] = 1;
  }
  EXPECT_EQ(noise.noise(floats), 0);
  const Judge judge(c.model, {.count = 40, .read = [](int64_t i) { return feed(200 + i); }, .labels = {}}, 2);
  graph::Model half = rewrite::rewrite_to_qdq(c.model, plan::make_plan(c.model, c.analysis, c.ranges, c.rules));
  io::infer_shapes(half);
  EXPECT_NEAR(-10 * std::log10(noise.noise(halves)), judge.measure(half).sqnr_db, 4) << "the sum of what each does";
  Assignment first = floats;
  first[0] = 0;
  EXPECT_GT(noise.noise(first), 0) << "a layer rounds its constants and what it reads and makes";
  EXPECT_LT(noise.noise(first), noise.noise(halves));
}

/// A product in each branch, one with a weight of its own, one with the main graph's.
graph::Model branches() {
  graph::Model model = test::graph_from_text(R"(g (float[1,16] x, bool c) => (float[1,16] y) {
      y = If (c) <then_branch = a () => (float[1,16] ya) { ya = MatMul (x, w0) },
                  else_branch = b () => (float[1,16] yb) { yb = MatMul (x, w1) }> })");
  onnx::NodeProto& node = *model.mutable_graph().mutable_node(0);
  node.set_name("if");
  for (unsigned i = 0; i < 2; ++i) {
    onnx::GraphProto& body = *node.mutable_attribute(static_cast<int>(i))->mutable_g();
    body.mutable_node(0)->set_name("n" + std::to_string(i));
    *(i == 0 ? body : model.mutable_graph()).add_initializer() = graph::tensor_proto(
        "w" + std::to_string(i), Tensor::of<float>({kWidth, kWidth}, std::span<const float>(random_values(256, i))));
  }
  io::infer_shapes(model);
  return model;
}

TEST(SensitiveLayer, WeightsInBodiesAreRoundedWhereTheyStand) {
  const graph::Model model = branches();
  const analyze::Analysis analysis = analyze::analyze(model);
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kFloat16;
  const Space halves = make_space({model, analysis, {}, rules}, {Choice::kConfig, Choice::kFloat});
  Sensitivity silent;
  for (const Component& component : halves.components) silent[component.key] = {};
  const Assignment last = NoiseModel(halves, silent, {}).path().back();
  for (size_t i = 0; i < last.size(); ++i) {
    EXPECT_FALSE(halves.items[i].options[last[i]].half) << "what rounds values inside bodies ends in float32 too";
  }
  rules.defaults.mode = plan::Mode::kWeightOnly;
  const Space space = make_space({model, analysis, {}, rules}, {Choice::kConfig, Choice::kFloat});
  EXPECT_EQ(space.nodes(), (std::vector<std::string>{"n0", "n1"}));
  const auto both = [](int64_t i) {
    exec::Feed values = feed(i);
    const std::array<bool, 1> taken{i % 2 == 0};
    values.emplace("c", Tensor::of<bool>({}, std::span<const bool>(taken)));
    return values;
  };
  const Sensitivity table = measure_sensitivity(model, space.components, {.count = 8, .read = both}, {}, {});
  ASSERT_EQ(table.size(), 2U);
  for (const auto& [key, effect] : table) {
    EXPECT_GT(effect.sqnr_db(), 30) << key;
    EXPECT_LT(effect.sqnr_db(), 60) << key;
  }
}

/// Both of an LSTM's weights are stored in fewer bits in every mode; the search takes both back to float32 together.
TEST(SensitiveLayer, LayersWithTwoWeightsMayBecomeFloat) {
  graph::Model model = test::graph_from_text(R"(g (float[5,1,16] x) => (float[5,1,1,16] y) {
      [cells] y = LSTM <hidden_size = 16> (x, w, r) })");
  for (const auto& [name, seed] : {std::pair{"w", 1U}, {"r", 2U}}) {
    const std::vector<float> values = random_values(4 * kWidth * kWidth, seed);
    *model.mutable_graph().add_initializer() =
        graph::tensor_proto(name, Tensor::of<float>({1, 4 * kWidth, kWidth}, std::span<const float>(values)));
  }
  io::infer_shapes(model);
  const analyze::Analysis analysis = analyze::analyze(model);
  const Space space = make_space({model, analysis, {}, {}}, {Choice::kConfig, Choice::kStoredInt16, Choice::kFloat});
  ASSERT_EQ(space.nodes(), std::vector<std::string>{"cells"});
  const std::vector<Option>& options = space.items[0].options;
  ASSERT_EQ(options.size(), 3U);
  EXPECT_EQ(options[2].choice, Choice::kFloat);
  EXPECT_EQ(options[2].bytes, 4.0 * 2 * 4 * kWidth * kWidth);
  EXPECT_EQ(options[2].bytes, space.float_bytes);
  EXPECT_EQ(options[0].bytes, 2.0 * 4 * kWidth * kWidth + 2.0 * 4 * kWidth * 4);  // and a scale for each output
  const recover::Samples samples{
      .count = 8, .read = [](int64_t index) {
        const auto values = random_values(5 * kWidth, 100 + static_cast<unsigned>(index));
        return exec::Feed{{"x", Tensor::of<float>({5, 1, kWidth}, std::span<const float>(values))}};
      }};
  const Sensitivity table = measure_sensitivity(model, space.components, samples, {}, {});
  const plan::PrecisionPlan plan = plan::make_plan(model, analysis, {}, {});
  graph::Model quantized = rewrite::rewrite_to_qdq(model, plan);
  io::infer_shapes(quantized);
  const exec::Program reference = exec::compile_float(model);
  const exec::Program program = exec::compile_float(quantized);
  ErrorStatistics errors;
  Workspace workspace;
  for (int64_t i = 0; i < samples.count; ++i) {
    const exec::Feed feed = samples.read(i);
    errors.add(reference.run(feed, workspace)[0].data<float>(), program.run(feed, workspace)[0].data<float>());
  }
  EXPECT_NEAR(table.at(options[0].weight).sqnr_db(), errors.sqnr_db(), 1e-3);
}

TEST(SensitiveLayer, WhatTheUserKeptIsNoMatterOfTheSearch) {
  Case c;
  plan::Rule rule{.match = {.name = "n4", .regex = {}, .op = {}}, .set = {}, .text = "rules[0]"};
  rule.set.keep_float = true;
  c.rules.rules.push_back(rule);
  const Space space = make_space({c.model, c.analysis, c.ranges, c.rules}, all_choices());
  const std::vector<std::string> nodes = space.nodes();
  EXPECT_EQ(std::count(nodes.begin(), nodes.end(), "n4"), 0) << "a stored weight is not float32 either";
  EXPECT_EQ(std::count(nodes.begin(), nodes.end(), "n2"), 1);
}

}  // namespace
}  // namespace narrow::tune
