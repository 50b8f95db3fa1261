#include "lib/graph/raise_opset.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lib/base/error.h"
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

// Neither is an operator of opset 14; onnxruntime has both in ONNX's domain.
TEST(RaiseOpset, OperatorsThatOnnxruntimeAddsAreKept) {
  const onnx::ModelProto model = test::graph_from_text(R"(g (float[2,4] x, float[4] s, bool c) => (float[2,4] z) {
  [simple] y = SimplifiedLayerNormalization <epsilon = 0.5> (x, s)
  [choice] z = If (c) <then_branch = t () => (float[2,4] a) { [inner] a = LayerNormalization (y, s) }, else_branch = e () => (float[2,4] b) { b = Abs (y) }>
})",
                                                       14)
                                     .proto();
  const onnx::ModelProto raised = raise_opset(model, 21);
  ASSERT_EQ(raised.opset_import_size(), 1);
  EXPECT_EQ(raised.opset_import(0).version(), 21);
  std::vector<std::string> nodes;
  for_each_node(raised.graph(), [&](const onnx::NodeProto& node) {
    EXPECT_EQ(node.domain(), "");
    nodes.push_back(node.op_type());
  });
  EXPECT_EQ(nodes, (std::vector<std::string>{"SimplifiedLayerNormalization", "LayerNormalization", "Abs", "If"}));
  EXPECT_EQ(raised.graph().node(0).attribute(0).f(), 0.5F);
}

TEST(RaiseOpset, WhatNobodyHasIsNamed) {
  const onnx::ModelProto model =
      test::graph_from_text("g (float[2] x) => (float[2] y) { [odd] y = Frobnicate (x) }", 14).proto();
  try {
    raise_opset(model, 21);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_STREQ(error.what(),
                 "node 'odd' (Frobnicate): there is no such operator in opset 14, so that it can not be brought to "
                 "opset 21");
  }
}

}  // namespace
}  // namespace narrow::graph
