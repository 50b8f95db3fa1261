// Model text in, model text out. Every golden also runs both models, so that no text can be right and wrong at once.
#include <gtest/gtest.h>

#include <cmath>

#include "lib/exec/float_program.h"
#include "lib/graph/print.h"
#include "lib/io/load.h"
#include "lib/rewrite/form.h"
#include "lib/rewrite/integer_io.h"
#include "lib/rewrite/normalize.h"
#include "lib/rewrite/qdq.h"
#include "tests/support/golden.h"
#include "tests/support/model_text.h"

namespace narrow {
namespace {

graph::Model normalized(const graph::Model& loaded) {
  graph::Model model = rewrite::prepare(loaded);
  io::infer_shapes(model);
  model = rewrite::apply_constants(model, exec::fold_constants(model));
  io::infer_shapes(model);
  model = rewrite::fold_linear(model);
  io::infer_shapes(model);
  return model;
}

/// Values between -2 and 2 without a pattern that a kernel could share.
exec::Feed make_feed(const exec::Program& program) {
  exec::Feed feed;
  uint32_t state = 12345;
  for (const std::string& name : program.input_names()) {
    Shape shape = *program.input_shape(name);
    for (int64_t& dimension : shape) dimension = dimension < 0 ? 2 : dimension;
    Tensor tensor(DataType::kFloat32, shape);
    for (float& value : tensor.mutable_data<float>()) {
      state = state * 1664525U + 1013904223U;
      value = static_cast<float>(state >> 8) / 4194304.0F - 2.0F;
    }
    feed[name] = tensor;
  }
  return feed;
}

std::vector<Tensor> run(const graph::Model& model) {
  const exec::Program program = exec::compile_float(model);
  Workspace workspace;
  return program.run(make_feed(program), workspace);
}

void expect_near(const std::vector<Tensor>& a, const std::vector<Tensor>& b, float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].shape(), b[i].shape());
    for (size_t k = 0; k < static_cast<size_t>(a[i].size()); ++k) {
      ASSERT_NEAR(a[i].data<float>()[k], b[i].data<float>()[k], tolerance) << "output " << i << " element " << k;
    }
  }
}

TEST(GoldenTest, Normalize) {
  test::check_goldens("normalize", [](const test::Golden& golden) {
    const graph::Model loaded = io::check_model(test::model_from_text(golden.at("model")).proto());
    const graph::Model model = normalized(loaded);
    expect_near(run(loaded), run(model), 1e-4F);
    return graph::print(model);
  });
}

/// "ranges": {"value": [rmin, rmax]}; a range of null stands for a value without one.
plan::Ranges read_ranges(const std::string& text) {
  plan::Ranges ranges;
  const Json json = parse_json(text, "ranges");
  for (const auto& item : json.items()) {
    plan::ValueRange range{.calibrator = "given"};
    if (item.value().is_null()) {
      range.unusable = Reason{ReasonCode::kDegenerateRange, "'" + item.key() + "' had only NaN"};
    } else {
      range.range = {item.value()[0].get<float>(), item.value()[1].get<float>()};
    }
    ranges[item.key()] = range;
  }
  return ranges;
}

TEST(GoldenTest, Qdq) {
  test::check_goldens("qdq", [](const test::Golden& golden) {
    const graph::Model loaded = io::check_model(test::model_from_text(golden.at("model")).proto());
    const graph::Model model = normalized(loaded);
    const Json config = parse_json(golden.contains("config") ? golden.at("config") : "{}", "config");
    JsonObject object(config, "");
    const plan::Rules rules = plan::read_rules(object);
    const analyze::Analysis analysis = analyze::analyze(model);
    const plan::PrecisionPlan plan = plan::make_plan(model, analysis, read_ranges(golden.at("ranges")), rules);
    const auto written = [&](const plan::PrecisionPlan& each) {
      return rewrite::in_form(rewrite::rewrite_to_qdq(model, each), each);
    };
    const rewrite::QoperatorModel formed = written(plan);
    graph::Model quantized = formed.model;
    io::infer_shapes(quantized);
    const graph::Model again = written(plan::plan_from_json(plan::to_json(plan))).model;
    EXPECT_EQ(graph::print(quantized), graph::print(again)) << "a plan fed back gives the same model";
    const float tolerance = golden.contains("tolerance") ? std::stof(golden.at("tolerance")) : 0.2F;
    expect_near(run(loaded), run(rewrite::with_float_io(quantized)), tolerance);
    std::string decisions;
    for (const plan::LayerPlan& layer : plan.layers) {
      decisions += fmt::format("{} {}: {}", layer.op_type, layer.node, plan::decision_name(layer.decision));
      if (layer.reason) decisions += fmt::format(" ({})", layer.reason->text());
      decisions += fmt::format(" by {}\n", layer.rule);
      for (const std::string& reason : layer.adapted) decisions += fmt::format("  adapted: {}\n", reason);
    }
    for (const rewrite::KeptNode& kept : formed.kept) {
      decisions += fmt::format("{} {} is left behind DequantizeLinear: {}\n", kept.op_type, kept.node, kept.why);
    }
    return decisions + graph::print(quantized);
  });
}

}  // namespace
}  // namespace narrow
