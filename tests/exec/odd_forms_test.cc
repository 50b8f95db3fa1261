// Forms that few files have, with results by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/error.h"
#include "lib/graph/raise_opset.h"
#include "lib/io/load.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using testing::ElementsAre;
using testing::FloatNear;

/// Through everything that a file goes through.
std::vector<Tensor> run_loaded(const std::string& text, const Feed& feed) {
  const graph::Model model = io::check_model(test::model_from_text(text).proto());
  Workspace workspace;
  return compile_float(model).run(feed, workspace);
}

std::string with_opset(int opset, const std::string& graph) {
  return "<ir_version: 8, opset_import: [\"\" : " + std::to_string(opset) + ", \"com.microsoft\" : 1]>\n" + graph;
}

TEST(OddForms, HardSigmoidOfNanIsNan) {
  const auto y = values_of<float>(
      run_text("g (float[3] x) => (float[3] y) { y = HardSigmoid (x) }", {{"x", floats({3}, {NAN, 9, -9})}})[0]);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 1);
  EXPECT_EQ(y[2], 0);
}

// 1 2 3 4 without its first is 2 3 4, which goes on with 2 and 3.
TEST(OddForms, PadsCutBeforeTheyWrap) {
  EXPECT_THAT(values_of<float>(run_text(R"(g (float[4] x) => (float[5] y) <int64[2] p = {-1, 2}>
      { y = Pad <mode = "wrap"> (x, p) })",
                                        {{"x", floats({4}, {1, 2, 3, 4})}}, 19)[0]),
              ElementsAre(2, 3, 4, 2, 3));
}

// 200 * 2 + 100 * 3 = 700 = 188 mod 256.
TEST(OddForms, EinsumOfBytesWrapsAround) {
  const Feed feed{{"a", Tensor::of<uint8_t>({1, 2}, {200, 100})}, {"b", Tensor::of<uint8_t>({2}, {2, 3})}};
  EXPECT_THAT(values_of<uint8_t>(run_text(R"(g (uint8[1,2] a, uint8[2] b) => (uint8[1] y)
      { y = Einsum <equation = "ij,j->i"> (a, b) })",
                                          feed)[0]),
              ElementsAre(188));
}

// (x - 2) / 1 over axes 0, 2, 3: a channel of 1 and 3 has mean 2 and deviation 1.
TEST(OddForms, MeanVarianceNormalizationWithoutAxesLoads) {
  const auto y = run_loaded(with_opset(13, R"(g (float[1,1,1,2] x) => (float[1,1,1,2] y)
      { y = MeanVarianceNormalization (x) })"),
                            {{"x", floats({1, 1, 1, 2}, {1, 3})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(FloatNear(-1, 1e-6F), FloatNear(1, 1e-6F)));
}

// 3 and 4 have root mean square sqrt(12.5).
TEST(OddForms, SimplifiedLayerNormalizationStandsInOnnxsDomain) {
  const auto y = run_loaded(with_opset(17, R"(g (float[1,2] x) => (float[1,2] y) <float[2] s = {1, 2}>
      { y = SimplifiedLayerNormalization <epsilon = 0.0> (x, s) })"),
                            {{"x", floats({1, 2}, {3, 4})}});
  EXPECT_THAT(values_of<float>(y[0]),
              ElementsAre(FloatNear(3 / std::sqrt(12.5F), 1e-6F), FloatNear(8 / std::sqrt(12.5F), 1e-6F)));
}

// onnxruntime's fusions write it into models of any opset. 1 and 3 have mean 2 and deviation 1.
TEST(OddForms, LayerNormalizationStandsInModelsOlderThanIt) {
  const auto y =
      run_loaded(with_opset(12, R"(g (float[1,2] x) => (float[1,2] y) <float[2] s = {1, 2}, float[2] b = {5, 6}>
      { y = LayerNormalization <epsilon = 0.0> (x, s, b) })"),
                 {{"x", floats({1, 2}, {1, 3})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(FloatNear(4, 1e-6F), FloatNear(8, 1e-6F)));
}

// It came with opset 10; onnxruntime has had it in ONNX's domain all along.
TEST(OddForms, ThresholdedReluOfOldOpsets) {
  const auto y = run_loaded(with_opset(9, "g (float[3] x) => (float[3] y) { y = ThresholdedRelu <alpha = 2.0> (x) }"),
                            {{"x", floats({3}, {1, 2, 3})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(0, 0, 3));
}

TEST(OddForms, EmbeddingsCountNothingWithoutAMask) {
  const auto y = run_loaded(with_opset(17, R"(g (int32[2,2] i) => (float[2,2,2] y, int32[2] n)
      <float[2,2] w = {1, 3, 5, 1}, float[2,2] p = {0, 0, 0, 0}, float[2] g = {1, 1}, float[2] b = {0, 0}>
      { y, n = com.microsoft.EmbedLayerNormalization (i, , w, p, , g, b) })"),
                            {{"i", Tensor::of<int32_t>({2, 2}, {0, 1, 1, 0})}});
  EXPECT_THAT(values_of<int32_t>(y[1]), ElementsAre(0, 0));
}

// Before opset 7 the second operand was spread along an axis on request.
TEST(OddForms, ComparisonsOfOldOpsetsAreSpreadAlongAnAxis) {
  const auto y = run_loaded(with_opset(6, R"(g (float[2,3] x, float[2] a) => (bool[2,3] y)
      { y = Less <broadcast = 1, axis = 0> (x, a) })"),
                            {{"x", floats({2, 3}, {1, 2, 3, 4, 5, 6})}, {"a", floats({2}, {2, 6})}});
  EXPECT_THAT(values_of<bool>(y[0]), ElementsAre(true, false, false, true, true, false));
}

// Elements of a sample have parameters of their own: (x - m) / sqrt(v) * s + b.
TEST(OddForms, BatchNormalizationOfSingleElements) {
  const std::string graph = R"(g (float[2,2,1] x) => (float[2,2,1] y)
      <float[2,1] s = {2, 3}, float[2,1] b = {10, 20}, float[2,1] m = {1, 2}, float[2,1] v = {4, 9}>
      { y = BatchNormalization <epsilon = 0.0, spatial = 0)";
  const std::vector<std::pair<int, std::string>> forms{
      {1, ", is_test = 1, consumed_inputs = [0, 0, 0, 1, 1]"}, {6, ", is_test = 1"}, {7, ""}, {8, ""}};
  for (const auto& [opset, more] : forms) {
    const auto y =
        run_loaded(with_opset(opset, graph + more + "> (x, s, b, m, v) }"), {{"x", floats({2, 2, 1}, {1, 2, 3, 5})}});
    EXPECT_EQ(y[0].shape(), (Shape{2, 2, 1}));
    EXPECT_THAT(values_of<float>(y[0]), ElementsAre(10, 20, 12, 23)) << opset;
  }
  EXPECT_THROW(run_loaded(with_opset(6, graph + "> (x, s, b, m, v) }"), {{"x", floats({2, 2, 1}, {1, 2, 3, 5})}}),
               Error);
}

// One step with weights of 1 and no state: tanh(1 + 2).
TEST(OddForms, RecurrentLayersOfOldOpsetsRun) {
  const auto y = run_loaded(with_opset(6, R"(g (float[1,1,2] x) => (float[1,1,1,1] y)
      <float[1,1,2] w = {1, 1}, float[1,1,1] r = {1}> { y = RNN <hidden_size = 1, output_sequence = 1> (x, w, r) })"),
                            {{"x", floats({1, 1, 2}, {1, 2})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(FloatNear(std::tanh(3.0F), 1e-6F)));
}

/// Raising the opset must not change what a model computes: the converter leaves some operators to new defaults.
TEST(OddForms, RaisedModelsComputeWhatTheyDid) {
  const std::string image = "g (float[1,1,2,3] x) => (float[A,B,C,D] y) ";
  const std::vector<std::pair<int, std::string>> models{
      {9, "<float[4] s = {1, 1, 1.5, 2.4}> { y = Upsample <mode = \"linear\"> (x, s) }"},
      {9, "<float[4] s = {1, 1, 1.5, 2.4}> { y = Upsample <mode = \"nearest\"> (x, s) }"},
      // The converter gives results of Upsample other names where they are no outputs of a graph.
      {9, "<float[4] s = {1, 1, 1.5, 2.4}> { u = Upsample <mode = \"linear\"> (x, s) y = Relu (u) }"},
      {7, "{ u = Upsample <mode = \"linear\", scales = [1.0, 1.0, 1.5, 2.4]> (x) y = Relu (u) }"},
      {9,
       "<float[4] s = {1, 1, 1.5, 2.4}, float[4] t = {1, 1, 2, 2.3}, bool c = {1}> {"
       "  u = Upsample <mode = \"linear\"> (x, s)"
       "  v = If (c) <then_branch = a () => (float[A,B,C,D] p) {"
       "    k = Upsample <mode = \"nearest\"> (u, t) l = Upsample <mode = \"linear\"> (k, t) p = Add (l, l) },"
       "    else_branch = b () => (float[A,B,C,D] q) { m = Upsample <mode = \"linear\"> (u, t) q = Neg (m) }>"
       "  w = Upsample <mode = \"nearest\"> (v, t) y = Abs (w) }"},
      // Branches may use the same names.
      {10,
       "<bool c = {0}> {"
       "  v = If (c) <then_branch = a () => (float[A,B,C,D] p) {"
       "    t = Constant <value = float[4] {1, 1, 0.45, 0.45}> () k = Resize <mode = \"nearest\"> (x, t) p = Add (k, "
       "k) },"
       "    else_branch = b () => (float[A,B,C,D] p) {"
       "    t = Constant <value = float[4] {1, 1, 1.8, 1.8}> () k = Resize <mode = \"nearest\"> (x, t) p = Neg (k) }>"
       "  y = Abs (v) }"},
      {10, "<float[4] s = {1, 1, 1.5, 2.4}> { y = Resize <mode = \"linear\"> (x, s) }"},
      {10, "<float[4] s = {1, 1, 0.6, 0.7}> { y = Resize <mode = \"nearest\"> (x, s) }"},
      {11, "{ y = Hardmax <axis = 1> (x) }"},
      {11, "{ y = Softmax <axis = 1> (x) }"}};
  const Feed feed{{"x", floats({1, 1, 2, 3}, {1, 5, 2, 4, 3, 6})}};
  for (const auto& [opset, text] : models) {
    const graph::Model old = test::graph_from_text(image + text, opset);
    const graph::Model raised(graph::raise_opset(old.proto(), 13));
    Workspace workspace;
    const Tensor wanted = compile_float(old).run(feed, workspace)[0];
    const Tensor found = compile_float(raised).run(feed, workspace)[0];
    EXPECT_EQ(found.shape(), wanted.shape()) << text;
    EXPECT_EQ(values_of<float>(found), values_of<float>(wanted)) << text;
  }
}

// Newer opsets round all axes alike, opset 10 did not. Expected values: by hand, rows 1 (0.5 of 2, up), columns 0, 0,
// 1, ...
TEST(OddForms, NearestOfOpset10MayGrowAndShrink) {
  const std::string constant =
      "g (float[1,1,2,3] x) => (float[A,B,C,D] y) <float[4] s = {1, 1, 0.5, 2}> { y = Resize (x, s) }";
  const std::string given = "g (float[1,1,2,3] x, float[4] s) => (float[A,B,C,D] y) { y = Resize (x, s) }";
  Feed feed{{"x", floats({1, 1, 2, 3}, {1, 5, 2, 4, 3, 6})}};
  const auto run = [&](const std::string& text) {
    Workspace workspace;
    const graph::Model raised(graph::raise_opset(test::graph_from_text(text, 10).proto(), 13));
    return compile_float(raised).run(feed, workspace)[0];
  };
  EXPECT_THAT(values_of<float>(run(constant)), ElementsAre(1, 1, 5, 5, 2, 2));
  feed["s"] = floats({4}, {1, 1, 0.5F, 2});
  EXPECT_THAT(values_of<float>(run(given)), ElementsAre(1, 1, 5, 5, 2, 2));
  // Places 0, 1.67, 3.33 of a row of 5 are samples 0, 2, 4.
  feed = {{"x", floats({1, 1, 1, 5}, {1, 2, 3, 4, 5})}, {"s", floats({4}, {1, 1, 2, 0.6F})}};
  const Tensor y = run("g (float[1,1,1,5] x, float[4] s) => (float[A,B,C,D] y) { y = Resize (x, s) }");
  EXPECT_EQ(y.shape(), (Shape{1, 1, 2, 3}));
  EXPECT_THAT(values_of<float>(y), ElementsAre(1, 3, 5, 1, 3, 5));
}

// ONNX's checker knows it as deprecated; files have it, and onnxruntime runs it. Groups {1, 3} and {2, 6} become
// {-1, 1}, times 2 plus 1 and times 3 plus -1.
TEST(OddForms, GroupNormalizationOfOpset18ScalesByGroup) {
  const std::string text = R"(g (float[N,C,1] x) => (float[N,C,1] y) <float[2] s = {2, 3}, float[2] b = {1, -1}>
      { y = GroupNormalization <num_groups = 2, epsilon = 0.0> (x, s, b) })";
  std::string fixed = text;
  fixed.replace(fixed.find("N,C,1"), 5, "1,4,1");
  const Feed feed{{"x", floats({1, 4, 1}, {1, 3, 2, 6})}};
  const auto expected =
      ElementsAre(FloatNear(-1, 1e-5F), FloatNear(3, 1e-5F), FloatNear(-4, 1e-5F), FloatNear(2, 1e-5F));
  EXPECT_THAT(values_of<float>(run_loaded(with_opset(18, text), feed)[0]), expected);
  for (const std::string& each : {text, fixed}) {
    const graph::Model loaded = io::check_model(test::model_from_text(with_opset(18, each)).proto());
    Workspace workspace;
    const graph::Model raised(graph::raise_opset(loaded.proto(), 21));
    EXPECT_THAT(values_of<float>(compile_float(raised).run(feed, workspace)[0]), expected);
  }
  EXPECT_THROW(run_loaded(with_opset(18, R"(g (float[1,4,1] x, float[2] s) => (float[1,4,1] y)
      { y = GroupNormalization <num_group = 2> (x, s, s) })"),
                          feed),
               Error);
}

// onnxruntime's, which ONNX's text of these opsets leaves open: all zeros, of the data's type before opset 10.
TEST(OddForms, MasksOfDropoutBeforeOpset12AreOfZeros) {
  const Feed feed{{"x", floats({2}, {1, 2})}};
  const auto check = [](const std::vector<Tensor>& y, int opset) {
    EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1, 2)) << opset;
    ASSERT_EQ(y[1].type(), opset < 10 ? DataType::kFloat32 : DataType::kBool) << opset;
    if (opset < 10) {
      EXPECT_THAT(values_of<float>(y[1]), ElementsAre(0, 0)) << opset;
    } else {
      EXPECT_THAT(values_of<bool>(y[1]), ElementsAre(false, false)) << opset;
    }
  };
  for (const int opset : {6, 7, 9, 10, 11}) {
    const std::string mask = opset < 10 ? "float" : "bool";
    const std::string text = with_opset(opset, "g (float[2] x) => (float[2] y, " + mask + "[2] m) { y, m = Dropout <" +
                                                   (opset < 7 ? "is_test = 1" : "ratio = 0.3") + "> (x) }");
    check(run_loaded(text, feed), opset);
    const graph::Model loaded = io::check_model(test::model_from_text(text).proto());
    Workspace workspace;
    check(compile_float(graph::Model(graph::raise_opset(loaded.proto(), 13))).run(feed, workspace), opset);
  }
}

}  // namespace
}  // namespace narrow::exec
