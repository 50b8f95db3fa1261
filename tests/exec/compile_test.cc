#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "lib/base/error.h"
#include "lib/exec/kernel_table.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr std::string_view kResidualBlock = R"(
  g (float[1,1,2,2] x) => (float[1,1,2,2] y)
  <float[1,1,1,1] w = {2}, float[1] b = {1}, float[1] s = {3}, float[1] o = {0.5}, float[1] m = {2}, float[1] v = {1}>
  {
    c = Conv(x, w, b)
    n = BatchNormalization <epsilon = 0.0> (c, s, o, m, v)
    a = Add(n, x)
    y = Relu(a)
  })";

// conv = 2x + 1; normalized = 3 (conv - 2) + 0.5 = 6x - 2.5; sum = 7x - 2.5.
TEST(CompileFloat, FusesConvolutionWithWhatFollows) {
  const Program program = compile_float(test::graph_from_text(kResidualBlock));
  ASSERT_EQ(program.steps().size(), 1u);
  EXPECT_THAT(program.steps()[0].fused, ElementsAre("c", "n", "a", "y"));
  EXPECT_EQ(program.steps()[0].node, "y");
  Workspace workspace;
  const auto y = program.run({{"x", floats({1, 1, 2, 2}, {0, 1, 2, -1})}}, workspace);
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(0, 4.5F, 11.5F, 0));
}

TEST(CompileFloat, ObservedValuesAreNotFusedAway) {
  const Program program = compile_float(test::graph_from_text(kResidualBlock), {.observed = {"n"}});
  ASSERT_EQ(program.steps().size(), 3u);
  EXPECT_THAT(program.steps()[0].fused, ElementsAre("c", "n"));
  const Program plain = compile_float(test::graph_from_text(kResidualBlock), {.observed = {}, .fuse = false});
  EXPECT_EQ(plain.steps().size(), 4u);
}

TEST(CompileFloat, FusedAndPlainProgramsAgree) {
  const graph::Model model = test::graph_from_text(kResidualBlock);
  const Feed feed{{"x", pseudo_random({1, 1, 2, 2}, 5)}};
  Workspace workspace;
  const auto fused = values_of<float>(compile_float(model).run(feed, workspace)[0]);
  const auto plain = values_of<float>(compile_float(model, {.observed = {}, .fuse = false}).run(feed, workspace)[0]);
  EXPECT_THAT(fused, Pointwise(FloatNear(1e-5F), plain));
}

// The Add of the fused group broadcasts over the batch, which no declared shape tells.
TEST(CompileFloat, ResidualThatBroadcastsStillAdds) {
  const auto y = run_text(R"(g (float[N,1,1,2] x, float[M,1,1,2] r) => (float[K,1,1,2] y)
    <float[1,1,1,1] w = {2}> { c = Conv(x, w) 
      a = Add(r, c) 
      y = Relu(a) })",
                          {{"x", floats({1, 1, 1, 2}, {1, -3})}, {"r", floats({2, 1, 1, 2}, {1, 2, 3, 10})}});
  EXPECT_EQ(y[0].shape(), (Shape{2, 1, 1, 2}));
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(3, 0, 5, 4));
}

TEST(CompileFloat, ClampsOfGemmAndClip) {
  const auto y = run_text(R"(g (float[1,2] x) => (float[1,2] y)
    <float[2,2] w = {1, 2, 3, 4}, float[2] b = {0.5, -100}, float low = {0}, float high = {6}>
    { z = Gemm <alpha = 2.0, transB = 1> (x, w, b) 
      y = Clip(z, low, high) })",
                          {{"x", floats({1, 2}, {1, 0.5F})}});
  // 2 (1 + 1) + 0.5 = 4.5; 2 (3 + 2) - 100 < 0.
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(4.5F, 0));
}

TEST(CompileFloat, FoldsConstantsAndSkipsDeadNodes) {
  const Program program = compile_float(test::graph_from_text(R"(g (float[2] x) => (float[2] y)
    <float[2] a = {1, 2}> { b = Add(a, a) 
      dead = Exp(x) 
      y = Mul(x, b) })"));
  EXPECT_EQ(program.steps().size(), 1u);
  Workspace workspace;
  EXPECT_THAT(values_of<float>(program.run({{"x", floats({2}, {3, 4})}}, workspace)[0]), ElementsAre(6, 16));
}

TEST(CompileFloat, InlinesFunctions) {
  const graph::Model model = test::model_from_text(R"(<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    g (float[2] x) => (float[2] y) { y = own.twice(x) }
    <domain: "own", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) })");
  Workspace workspace;
  EXPECT_THAT(values_of<float>(compile_float(model).run({{"x", floats({2}, {3, 4})}}, workspace)[0]),
              ElementsAre(6, 8));
}

TEST(CompileFloat, RefusesUnknownOperatorsByNodeName) {
  try {
    compile_float(test::graph_from_text("g (float[2] x) => (float[2] y) { [odd_one] y = NotAnOperator(x) }"));
    FAIL() << "there is no such kernel";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("NotAnOperator"));
  }
}

TEST(FoldConstants, LeavesOutWhatWouldBlowTheFileUp) {
  const graph::Model model = test::graph_from_text(R"(g (float[4] x) => (float[4] y)
    <int64[1] n = {4}, float[2,2] w = {1, 2, 3, 4}>
    { big = ConstantOfShape(n) 
      t = Transpose(w) 
      y = Add(x, big) })");
  const auto folded = fold_constants(model, /*max_bytes=*/8);
  EXPECT_FALSE(folded.contains("big"));
  ASSERT_TRUE(folded.contains("t"));
  EXPECT_THAT(values_of<float>(folded.at("t")), ElementsAre(1, 3, 2, 4));
  EXPECT_TRUE(fold_constants(model).contains("big"));
}

TEST(FoldConstants, AWeightOfAnySizeMayBeTransposed) {
  graph::Model model = test::graph_from_text(R"(g (float[4] x) => (float[4] y) {
      t = Transpose (w)
      y = MatMul (x, t) })");
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", Tensor(DataType::kFloat32, {100, 4}));
  auto& made = *model.mutable_graph().add_value_info();
  made.set_name("t");
  auto& type = *made.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  for (const int64_t size : {4, 100}) type.mutable_shape()->add_dim()->set_dim_value(size);
  EXPECT_TRUE(fold_constants(model, /*max_bytes=*/8).contains("t"));  // 1600 bytes, as w has
}

TEST(KernelTable, WhatOnnxruntimeSavesForOneMachineIsRefusedWithAWayOut) {
  const graph::Model model = test::model_from_text(R"(<ir_version: 8, opset_import: ["": 17, "com.microsoft.nchwc": 1]>
      g (float[1,16,4,4] x, float[16,16,1,1] w) => (float[1,16,4,4] y) { [blocked] y = com.microsoft.nchwc.Conv (x, w) })");
  try {
    compile_float(model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("'blocked'"), testing::HasSubstr("ORT_ENABLE_EXTENDED")));
  }
}

TEST(KernelTable, IsSortedAndFound) {
  const auto rows = kernel_table();
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end(), [](const KernelRow& a, const KernelRow& b) {
    return std::tie(a.domain, a.op_type) < std::tie(b.domain, b.op_type);
  }));
  EXPECT_TRUE(has_kernel("com.microsoft", "QLinearAdd"));
  EXPECT_TRUE(has_kernel("ai.onnx.ml", "TreeEnsemble"));
  EXPECT_TRUE(has_kernel("", "Conv"));
  EXPECT_TRUE(has_kernel("ai.onnx", "Conv"));
  EXPECT_FALSE(has_kernel("com.microsoft", "Conv"));
  EXPECT_TRUE(has_kernel("", "If"));
  EXPECT_FALSE(has_kernel("", "Attention")) << "runs by its function body";
}

}  // namespace
}  // namespace narrow::exec
