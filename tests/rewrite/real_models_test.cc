// Normalization of real models: it must go through, and compute what the original computes.
#include <gtest/gtest.h>

#include "lib/exec/float_program.h"
#include "lib/io/load.h"
#include "lib/rewrite/normalize.h"
#include "lib/tensor/metrics.h"
#include "tests/support/real_models.h"

namespace narrow {
namespace {

exec::Feed random_feed(const exec::Program& program) {
  exec::Feed feed;
  uint32_t state = 7;
  for (const std::string& name : program.input_names()) {
    Shape shape = *program.input_shape(name);
    // Free dimensions: batch 1, free sides a multiple of 32 for detectors.
    for (size_t i = 0; i < shape.size(); ++i) shape[i] = shape[i] > 0 ? shape[i] : i == 0 ? 1 : i == 2 ? 64 : 96;
    Tensor tensor(DataType::kFloat32, shape);
    for (float& value : tensor.mutable_data<float>()) {
      state = state * 1664525U + 1013904223U;
      value = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
    }
    feed[name] = tensor;
  }
  return feed;
}

TEST(RealModelsTest, NormalizationKeepsTheResult) {
  if (!test::real_data()) GTEST_SKIP() << "real models are not here (NARROW_DATA)";
  for (const auto& path : test::real_models()) {
    if (path.filename() == "silero_vad.onnx") continue;  // If and LSTM: not executed yet
    SCOPED_TRACE(path.filename().string());
    const graph::Model loaded = io::load_model(path);
    graph::Model model = rewrite::prepare(loaded);
    io::infer_shapes(model);
    model = rewrite::apply_constants(model, exec::fold_constants(model));
    io::infer_shapes(model);
    model = rewrite::fold_linear(model);
    io::infer_shapes(model);
    for (const onnx::NodeProto& node : model.graph().node()) EXPECT_NE(node.op_type(), "Constant") << node.name();

    const exec::Program before = exec::compile_float(loaded);
    const exec::Program after = exec::compile_float(model);
    Workspace workspace;
    const exec::Feed feed = random_feed(before);
    const auto expected = before.run(feed, workspace);
    const auto actual = after.run(feed, workspace);
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ErrorStatistics error;
      error.add(expected[i].data<float>(), actual[i].data<float>());
      EXPECT_GT(error.sqnr_db(), 80) << before.output_names()[i];
    }
  }
}

}  // namespace
}  // namespace narrow
