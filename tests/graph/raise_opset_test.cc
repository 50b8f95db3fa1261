#include "lib/graph/raise_opset.h"

#include <gtest/gtest.h>

#include "lib/graph/traverse.h"
#include "tests/support/model_text.h"

namespace narrow::graph {
namespace {

TEST(RaiseOpset, NodesKeepWhatIsSaidAboutThem) {
  onnx::ModelProto model = test::graph_from_text(R"(g (float[2] x, bool c) => (float[2] z) {
  [first] y = Relu (x)
  [choice] z = If (c) <then_branch = t () => (float[2] a) { [inner] a = Neg (y) }, else_branch = e () => (float[2] b) { [other] b = Abs (y) }>
})",
                                                 17)
                               .proto();
  for_each_mutable_node(*model.mutable_graph(), [](onnx::NodeProto& node) {
    onnx::StringStringEntryProto& entry = *node.add_metadata_props();
    entry.set_key("scope");
    entry.set_value("of " + node.name());
  });
  const onnx::ModelProto raised = raise_opset(model, 21);
  ASSERT_EQ(raised.opset_import(0).version(), 21);
  int nodes = 0;
  for_each_node(raised.graph(), [&](const onnx::NodeProto& node) {
    ++nodes;
    ASSERT_EQ(node.metadata_props_size(), 1) << node.name();
    EXPECT_EQ(node.metadata_props(0).value(), "of " + node.name());
  });
  EXPECT_EQ(nodes, 4);
}

TEST(RaiseOpset, NodesWithoutNamesAndFirstOutputsAreKeptApart) {
  onnx::ModelProto model =
      test::graph_from_text(R"(g (float[4,1,3] x, float[1,8,3] w, float[1,8,2] r) => (float[1,1,2] a, float[1,1,2] b) {
  u, a = LSTM <hidden_size = 2> (x, w, r)
  v, b = LSTM <hidden_size = 2> (x, w, r)
})",
                            17)
          .proto();
  for (onnx::NodeProto& node : *model.mutable_graph()->mutable_node()) {
    node.set_output(0, "");
    node.add_metadata_props()->set_value("makes " + node.output(1));
  }
  const onnx::ModelProto raised = raise_opset(model, 21);
  ASSERT_EQ(raised.graph().node_size(), 2);
  for (const onnx::NodeProto& node : raised.graph().node()) {
    EXPECT_EQ(node.output(0), "");
    ASSERT_EQ(node.metadata_props_size(), 1);
    EXPECT_EQ(node.metadata_props(0).value(), "makes " + node.output(1));
  }
}

}  // namespace
}  // namespace narrow::graph
