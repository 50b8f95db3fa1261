// What the commands make of a model before they quantize it.
#include <gtest/gtest.h>

#include "apps/model_source.h"
#include "tests/support/model_text.h"

namespace narrow::apps {
namespace {

// Opset 8 is raised by the version converter, which drops the shapes of values; Conv's and MatMul's Add fold all the
// same.
TEST(Normalize, BiasesOfOldModelsFold) {
  const graph::Model loaded = test::model_from_text(R"(<ir_version: 4, opset_import: ["" : 8]>
agraph (float[1,1,2,2] x) => (float[1,2] y)
<float[2,1,2,2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2,1,1] b = {0.5, 1.5}, int64[2] s = {1, 2}, float[2,2] m = {1, 2, 3, 4},
 float[1,2] b2 = {1, -1}>
{
  c = Conv (x, w)
  p = Add (c, b)
  f = Reshape (p, s)
  t = MatMul (f, m)
  y = Add (t, b2)
})");
  Stages stages(ProgressStyle::kNone);
  const graph::Model model = normalize(loaded, stages);
  EXPECT_EQ(count_nodes(model, "Add"), 0);
  EXPECT_EQ(count_nodes(model, "Conv"), 1);
  EXPECT_EQ(count_nodes(model, "Gemm"), 1);
}

}  // namespace
}  // namespace narrow::apps
