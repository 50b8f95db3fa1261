// Forms of old opsets with free dimensions and in functions.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/graph/attributes.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::io {
namespace {

// ONNX's converter wants to know every dimension of what is broadcast.
TEST(OldForms, FreeDimensionsBroadcast) {
  for (const std::string_view node :
       {"Add <broadcast = 1> (x, b)", "Pow <broadcast = 1, axis = 1> (x, b)", "Gemm <broadcast = 1> (x, w, b)"}) {
    const graph::Model model = check_model(test::model_from_text(fmt::format(R"(<ir_version: 3, opset_import: ["" : 6]>
      g (float[N,3] x, float[3,3] w, float[3] b) => (float[M,3] y) {{ y = {} }})",
                                                                             node))
                                               .proto());
    EXPECT_EQ(model.opset(), 9);
    ASSERT_EQ(model.graph().node_size(), 1) << node;
    EXPECT_EQ(model.graph().node(0).attribute_size(), 0);
    EXPECT_EQ(model.graph().node(0).domain(), "");
    EXPECT_EQ(graph::GraphIndex(model.graph()).type("y").shape, (Shape{-1, 3}));
  }
}

TEST(OldForms, NormalizationOfEachElementInAFunction) {
  const graph::Model model = check_model(test::model_from_text(R"(<ir_version: 8, opset_import: ["" : 8, "my" : 1]>
      g (float[N,2,2] x, float[2,2] s) => (float[N,2,2] y) { y = my.norm (x, s) }
      <opset_import: ["" : 8], domain: "my"> norm (x, s) => (y) { y = BatchNormalization <spatial = 0> (x, s, s, s, s) })")
                                             .proto());
  EXPECT_EQ(model.proto().functions_size(), 0);
  int found = 0;
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
    if (node.op_type() != "BatchNormalization") return;
    ++found;
    EXPECT_EQ(graph::find_attribute(node, "spatial"), nullptr);
  });
  EXPECT_EQ(found, 1);
}

// Inference follows the operator's body, which reads the axes.
TEST(OldForms, DefaultsOfOperatorsInAFunction) {
  for (const int opset : {9, 13}) {
    graph::Model model =
        check_model(test::model_from_text(fmt::format(R"(<ir_version: 8, opset_import: ["" : {0}, "my" : 1]>
      g (float[N,2,2,2] x) => (float[N,2,2,2] y) {{ y = my.norm (x) }}
      <opset_import: ["" : {0}], domain: "my"> norm (x) => (y) {{ y = MeanVarianceNormalization (x) }})",
                                                      opset))
                        .proto());
    const onnx::NodeProto& node = model.proto().functions(0).node(0);
    EXPECT_EQ(graph::ints_attribute(node, "axes"), (std::vector<int64_t>{0, 2, 3}));
  }
}

}  // namespace
}  // namespace narrow::io
