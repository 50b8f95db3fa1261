// Operators on strings, of classical models and of optimizers. Expected values by hand; the rest against onnxruntime
// in tests/peers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::vector<Tensor> run_domain(const std::string& domain, int version, const std::string& graph, const Feed& feed) {
  Workspace workspace;
  const std::string header =
      "<ir_version: 9, opset_import: [\"\": 20, \"" + domain + "\": " + std::to_string(version) + "]> ";
  return compile_float(test::model_from_text(header + graph)).run(feed, workspace);
}

TEST(Strings, SplitConcatAndMatch) {
  const Feed feed{{"x", Tensor::of_strings({2}, {" a b  c ", ""})}};
  const auto y = run_text(R"(g (string[2] x) => (string[2,N] p, int64[2] n)
      { p, n = StringSplit <maxsplit = 1> (x) })",
                          feed, 20);
  EXPECT_THAT(y[0].strings(), ElementsAre("a", "b  c", "", ""));
  EXPECT_THAT(values_of<int64_t>(y[1]), ElementsAre(2, 0));
  const auto joined =
      run_text("g (string[2,1] x, string[2] z) => (string[2,2] y) { y = StringConcat(x, z) }",
               {{"x", Tensor::of_strings({2, 1}, {"a", "b"})}, {"z", Tensor::of_strings({2}, {"1", "2"})}}, 20);
  EXPECT_THAT(joined[0].strings(), ElementsAre("a1", "a2", "b1", "b2"));
  EXPECT_THROW(run_text("g (string[2] x) => (bool[2] y) { y = RegexFullMatch <pattern = \"(\"> (x) }", feed, 20),
               Error);
}

TEST(Strings, CaseBeyondAscii) {
  const auto y =
      run_text("g (string[2] x) => (string[N] y) { y = StringNormalizer <case_change_action = \"UPPER\"> (x) }",
               {{"x", Tensor::of_strings({2}, {"\xC3\xA4z", "\xD1\x8F"})}}, 10);
  EXPECT_THAT(y[0].strings(), ElementsAre("\xC3\x84Z", "\xD0\xAF"));
}

TEST(TreeEnsemble, MissingValuesFollowTheirBranch) {
  // x <= 0.5 gives 1, otherwise 2; NaN goes where the node says.
  const auto run = [](int missing) {
    return values_of<float>(run_domain("ai.onnx.ml", 3,
                                       R"(g (float[3,1] x) => (float[3,1] y) { y = ai.onnx.ml.TreeEnsembleRegressor <
        n_targets = 1, nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [0, 0, 0],
        nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = [0.5, 0.0, 0.0], nodes_truenodeids = [1, 0, 0],
        nodes_falsenodeids = [2, 0, 0], target_treeids = [0, 0], target_nodeids = [1, 2], target_ids = [0, 0],
        target_weights = [1.0, 2.0], nodes_missing_value_tracks_true = [)" +
                                           std::to_string(missing) + ", 0, 0]> (x) }",
                                       {{"x", floats({3, 1}, {0.5F, 0.6F, std::nanf("")})}})[0]);
  };
  EXPECT_THAT(run(0), ElementsAre(1, 2, 2));
  EXPECT_THAT(run(1), ElementsAre(1, 2, 1));
}

TEST(TreeEnsemble, ACircleOfNodesIsRefused) {
  EXPECT_THROW(run_domain("ai.onnx.ml", 3,
                          R"(g (float[1,1] x) => (float[1,1] y) { y = ai.onnx.ml.TreeEnsembleRegressor <
        n_targets = 1, nodes_treeids = [0, 0], nodes_nodeids = [0, 1], nodes_featureids = [0, 0],
        nodes_modes = ["BRANCH_LEQ", "BRANCH_LEQ"], nodes_values = [0.5, 0.5], nodes_truenodeids = [1, 1],
        nodes_falsenodeids = [1, 1], target_treeids = [0], target_nodeids = [1], target_ids = [0],
        target_weights = [1.0]> (x) })",
                          {{"x", floats({1, 1}, {0})}}),
               Error);
}

TEST(ZipMap, IsRefusedForItsMaps) {
  try {
    run_domain("ai.onnx.ml", 1,
               "g (float[1,2] x) => (float[2] y) { y = ai.onnx.ml.ZipMap <classlabels_int64s = [0, 1]> (x) }",
               {{"x", floats({1, 2}, {0, 1})}});
    FAIL() << "it ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("maps"));
  }
}

TEST(Optimizers, MomentumAndAdagrad) {
  const Feed feed{{"r", Tensor::scalar(0.1F)},
                  {"t", Tensor::scalar<int64_t>(0)},
                  {"x", floats({1}, {1})},
                  {"d", floats({1}, {2})},
                  {"s", floats({1}, {4})}};
  const std::string head = "g (float r, int64 t, float[1] x, float[1] d, float[1] s) => (float[1] y, float[1] u) ";
  const std::string domain = "ai.onnx.preview.training";
  // The first step takes the whole gradient: s' = 0.5 * 4 + 2, x' = 1 - 0.1 * s'.
  const auto momentum =
      run_domain(domain, 1, head + "{ y, u = " + domain + R"(.Momentum <alpha = 0.5, beta = 0.9, norm_coefficient = 0.0,
          mode = "standard"> (r, t, x, d, s) })",
                 feed);
  EXPECT_THAT(values_of<float>(momentum[0]), Pointwise(FloatNear(1e-6F), {0.6F}));
  EXPECT_THAT(values_of<float>(momentum[1]), ElementsAre(4));
  // s' = 4 + 2^2, x' = 1 - 0.1 * 2 / sqrt(8).
  const auto adagrad =
      run_domain(domain, 1, head + "{ y, u = " + domain + ".Adagrad <epsilon = 0.0> (r, t, x, d, s) }", feed);
  EXPECT_THAT(values_of<float>(adagrad[0]), Pointwise(FloatNear(1e-6F), {0.92928932F}));
  EXPECT_THAT(values_of<float>(adagrad[1]), ElementsAre(8));
}

}  // namespace
}  // namespace narrow::exec
