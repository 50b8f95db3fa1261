#include "lib/exec/function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;

// The only node of the graph by its function body, whatever kernels there are, with nothing known before the run.
std::vector<Tensor> run_function(std::string_view graph, std::vector<Tensor> inputs, int opset) {
  const graph::Model model = test::graph_from_text(graph, opset);
  const onnx::NodeProto& node = model.graph().node(0);
  EXPECT_TRUE(has_function(node, opset));
  const KernelPtr kernel = make_function({.node = &node, .opset = opset, .model = &model});
  std::vector<Tensor> outputs(static_cast<size_t>(node.output_size()));
  Workspace workspace;
  kernel->run(inputs, outputs, workspace);
  return outputs;
}

TEST(Function, BindsAttributesAndTheirDefaults) {
  // max(0, x) + min(0, alpha * (e^(x / alpha) - 1)), alpha 2 and 1
  const auto given =
      run_function("g (float[2] x) => (float[2] y) { y = Celu <alpha = 2.0> (x) }", {floats({2}, {-2, 3})}, 13);
  EXPECT_THAT(values_of<float>(given[0]), ElementsAre(FloatNear(-1.264241F, 1e-6F), 3));
  const auto defaults = run_function("g (float[2] x) => (float[2] y) { y = Celu (x) }", {floats({2}, {-2, 3})}, 13);
  EXPECT_THAT(values_of<float>(defaults[0]), ElementsAre(FloatNear(-0.864665F, 1e-6F), 3));
}

TEST(Function, IsMadeForTheTypesItMeets) {
  const std::string_view graph = "g (float[N] x, float[] low) => (float[N] y) { y = Clip (x, low) }";
  const auto results = run_function(graph, {floats({3}, {-2, 0, 3}), Tensor::scalar(-1.0F)}, 13);
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(-1, 0, 3)) << "an absent maximum is no bound";
}

TEST(Function, TakesConstantsFromTheGraph) {
  const auto results = run_text("g (float[2,2] x) => (float[2,2] y) { y = MeanVarianceNormalization <axes = [1]> (x) }",
                                {{"x", floats({2, 2}, {1, 3, 10, 30})}}, 13);
  EXPECT_THAT(values_of<float>(results[0]),
              ElementsAre(FloatNear(-1, 1e-5F), FloatNear(1, 1e-5F), FloatNear(-1, 1e-5F), FloatNear(1, 1e-5F)));
}

TEST(Function, RefusesMoreOutputsThanItHas) {
  const std::string_view graph = "g (float[2] x) => (float[2] y, float[2] z) { y, z = Celu (x) }";
  EXPECT_THROW(run_function(graph, {floats({2}, {1, 2})}, 13), Error);
}

// Each thread meets types that no other has had compiled, and then all meet the same ones.
TEST(Function, ThreadsShareOneKernel) {
  const graph::Model model = test::graph_from_text("g (float[N] x) => (float[N] y) { y = Celu (x) }", 13);
  const KernelPtr kernel = make_function({.node = &model.graph().node(0), .opset = 13, .model = &model});
  constexpr int kThreads = 4;
  constexpr int64_t kMostRanks = 24;  // more than a kernel keeps
  std::atomic<int> right = 0;
  run_workers(kThreads, [&](int worker) {
    Workspace workspace;
    for (int64_t i = 0; i < kMostRanks; ++i) {
      const int64_t rank = (i + worker * kMostRanks / kThreads) % kMostRanks + 1;
      std::vector<Tensor> inputs{Tensor::of<float>(Shape(static_cast<size_t>(rank), 1), {static_cast<float>(rank)})};
      std::vector<Tensor> outputs(1);
      kernel->run(inputs, outputs, workspace);
      if (outputs[0].rank() == static_cast<size_t>(rank) && outputs[0].data<float>()[0] == static_cast<float>(rank)) {
        ++right;
      }
    }
  });
  EXPECT_EQ(right, kThreads * kMostRanks);
}

TEST(Function, NamesTheCallingNodeAndTheOneInside) {
  try {
    run_function("g (float[2] x, float[3] y) => (bool[2] z) { z = LessOrEqual (x, y) }",
                 {floats({2}, {1, 2}), floats({3}, {1, 2, 3})}, 13);
    FAIL() << "shapes do not broadcast";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("(Less): shapes [2] and [3] do not broadcast"));
  }
}

TEST(Function, OperatorsWithoutBodyHaveNone) {
  const graph::Model model = test::graph_from_text("g (float[2] x) => (float[2] y) { y = Neg (x) }");
  EXPECT_FALSE(has_function(model.graph().node(0), 17));
}

}  // namespace
}  // namespace narrow::exec
