// Models that are none, in ways that ONNX's own checks pass or tell without the node: each is refused by name.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::io {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// What check_model() says of a bad model.
std::string refusal(const onnx::ModelProto& proto) {
  try {
    check_model(proto);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel) << error.what();
    return error.what();
  }
  return "accepted";
}

std::string refusal_of_graph(std::string_view graph, int opset = 21) {
  return refusal(test::graph_from_text(graph, opset).proto());
}

TEST(BadModel, TypesThatThereAreNot) {
  for (const std::string_view node :
       {"Cast <to = 0> (x)", "EyeLike <dtype = 0> (x)", "SequenceEmpty <dtype = -1> ()"}) {
    const std::string op_type(node.substr(0, node.find(' ')));
    EXPECT_THAT(refusal_of_graph(fmt::format(
                    "agraph (float[2,2] x) => (float[2,2] y) {{ [culprit] t = {}  y = Identity (x) }}", node)),
                AllOf(HasSubstr("culprit"), HasSubstr(op_type)));
  }
  EXPECT_THAT(refusal_of_graph("agraph (float[2,3] x) => (float[2,3] y, float[2,1] m) <float[3] s = {1, 2, 3}>"
                               " { [culprit] y, m = LayerNormalization <stash_type = -1> (x, s) }",
                               17),
              AllOf(HasSubstr("culprit"), HasSubstr("LayerNormalization")));
}

TEST(BadModel, ATypeThatThereIsNotInABody) {
  EXPECT_THAT(
      refusal_of_graph("agraph (bool c, float[2] x) => (float[2] y) { y = If (c) <"
                       " then_branch = t () => (float[2] u) { [culprit] v = Cast <to = 0> (x)  u = Identity (x) },"
                       " else_branch = e () => (float[2] w) { w = Identity (x) }> }"),
      HasSubstr("culprit"));
}

TEST(BadModel, MapsWithoutATypeOfKeys) {
  onnx::ModelProto proto = test::model_from_text(R"(<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 1]>
      g (float[2,3] x) => (float[2,3] y) { [culprit] y = ai.onnx.ml.ZipMap (x) })")
                               .proto();
  onnx::TypeProto& type = *proto.mutable_graph()->mutable_output(0)->mutable_type();
  auto& map = *type.mutable_sequence_type()->mutable_elem_type()->mutable_map_type();
  map.set_key_type(onnx::TensorProto::INT64);
  map.mutable_value_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
  EXPECT_THAT(refusal(proto), AllOf(HasSubstr("culprit"), HasSubstr("ZipMap")));
}

TEST(BadModel, InitializersOfAnotherTypeOrShapeThanTheirInputs) {
  for (const int opset : {6, 17}) {
    EXPECT_EQ(refusal_of_graph(
                  "agraph (float[2] x, float[3] b) => (float[2] y) <float[2] b = {1, 2}> { y = Add (x, b) }", opset),
              "initializer 'b' is float32 [2], but the input of its name is declared as float32 [3]");
    EXPECT_EQ(
        refusal_of_graph(
            "agraph (float16[2] x, float16[N] b) => (float16[2] y) <float[2] b = {1, 2}> { y = Add (x, b) }", opset),
        "initializer 'b' is float32 [2], but the input of its name is declared as float16 [?]");
  }
}

std::string refusal_of_call(std::string_view call, std::string_view inner = "MatMul (a, w)") {
  return refusal(test::model_from_text(fmt::format(R"(<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
      g (float[2,2] x) => (float[2,2] y) {{ {} }}
      <opset_import: ["" : 21, "my" : 1], domain: "my"> outer (a, w) => (o) {{ o = {} }}
      <opset_import: ["" : 21], domain: "my"> one (a) => (o) {{ o = Relu (a) }})",
                                                   call, inner))
                     .proto());
}

TEST(BadModel, CallsWithMoreThanTheirFunctionHas) {
  EXPECT_EQ(refusal_of_call("y = my.outer (x, x)"), "accepted");
  EXPECT_EQ(refusal_of_call("[call] y = my.outer (x, x, x)"), "node 'call' (outer): 3 inputs, but its function has 2");
  EXPECT_EQ(refusal_of_call("[call] y, z = my.outer (x, x)"), "node 'call' (outer): 2 outputs, but its function has 1");
  EXPECT_EQ(refusal_of_call("y = my.outer (x, x)", "my.one (a, w)"),
            "node 'o' (one): 2 inputs, but its function has 1");
}

}  // namespace
}  // namespace narrow::io
