#include "lib/plan/half_kernels.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "lib/plan/plan.h"
#include "tests/support/model_text.h"

namespace narrow::plan {
namespace {

std::optional<Reason> refusal_of(const std::string& graph, Target target = Target::kOnnxruntime,
                                 DataType type = DataType::kFloat16) {
  const graph::Model model = test::graph_from_text(graph, 18);
  const graph::GraphIndex index(model.graph());
  return half_kernel_refusal(row(target), index, model.graph().node(0), type);
}

std::string scatter(std::string_view op, std::string_view reduction) {
  return fmt::format(
      R"(g (float[3,2] x, int64[1,2] i, float[1,2] u) => (float[3,2] y) {{ y = {} <reduction = "{}"> (x, i, u) }})", op,
      reduction);
}

TEST(HalfKernelsTest, ScattersThatSumStayFloat32) {
  EXPECT_EQ(refusal_of(scatter("ScatterND", "add"))->text(),
            "it can not compute in 16 bits: onnxruntime has no float16 kernel for ScatterND with reduction 'add'");
  for (const char* reduction : {"mul", "max", "min"}) EXPECT_TRUE(refusal_of(scatter("ScatterND", reduction)));
  EXPECT_FALSE(refusal_of(scatter("ScatterND", "none")));
  for (const char* reduction : {"add", "mul"}) EXPECT_TRUE(refusal_of(scatter("ScatterElements", reduction)));
  for (const char* reduction : {"none", "max", "min"}) {
    EXPECT_FALSE(refusal_of(scatter("ScatterElements", reduction))) << reduction;
  }
  EXPECT_FALSE(refusal_of(scatter("ScatterND", "add"), Target::kOpenvino));
  EXPECT_FALSE(refusal_of(scatter("ScatterND", "add"), Target::kOnnxruntime, DataType::kBfloat16));
}

std::string transpose(std::string_view perm, std::string_view reader) {
  return fmt::format(R"(g (float[2,2,2] x, float[2,2,2,2] x4, float[2,2] w) => (float[2,2,2] y) <float half = {{0.5}}>
      {{ t = Transpose <perm = [{}]> (x)  {} }})",
                     perm, reader);
}

TEST(HalfKernelsTest, TransposesThatMoveTheBatchInwardsInFrontOfAProductStayFloat32) {
  EXPECT_EQ(refusal_of(transpose("1, 0, 2", "y = MatMul (t, w)"))->detail,
            "onnxruntime crashes where it fuses such a Transpose with a MatMul in float16");
  EXPECT_TRUE(refusal_of(transpose("1, 2, 0", "y = MatMul (w, t)")));
  EXPECT_TRUE(refusal_of(transpose("1, 0, 2", "s = Mul (t, half) y = MatMul (s, w)")));
  EXPECT_TRUE(refusal_of(transpose("1, 2, 0, 3", "y = MatMul (t, w)")));
  EXPECT_TRUE(refusal_of(transpose("1, 2, 3, 0", "y = MatMul (t, w)")));
  EXPECT_FALSE(refusal_of(transpose("0, 2, 1", "y = MatMul (t, w)")));
  EXPECT_FALSE(refusal_of(transpose("2, 1, 0", "y = MatMul (t, w)")));
  EXPECT_FALSE(refusal_of(transpose("1, 0", "y = MatMul (t, w)")));
  EXPECT_FALSE(refusal_of(transpose("1, 0, 2, 3", "y = MatMul (t, w)")));
  EXPECT_FALSE(refusal_of(transpose("1, 0, 2", "s = Relu (t) y = MatMul (s, w)")));
  EXPECT_FALSE(refusal_of(transpose("1, 0, 2", "y = MatMul (t, w)"), Target::kGeneric));
}

}  // namespace
}  // namespace narrow::plan
