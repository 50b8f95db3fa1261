#include "lib/ops/op_table.h"

#include <gtest/gtest.h>

#include "lib/graph/attributes.h"
#include "lib/graph/onnx_api.h"

namespace narrow::ops {
namespace {

onnx::NodeProto node_of(std::string_view op) {
  onnx::NodeProto node;
  node.set_op_type(std::string(op));
  return node;
}

TEST(OpTableTest, EveryRowIsAnOperatorOfOnnxWithTheSlotsItNames) {
  for (const OpRow& row : op_table()) {
    const auto* schema = onnx::OpSchemaRegistry::Schema(std::string(row.op_type), 21, "");
    ASSERT_NE(schema, nullptr) << row.op_type;
    EXPECT_LT(row.weight_input, schema->max_input()) << row.op_type;
    EXPECT_LT(row.bias_input, schema->max_input()) << row.op_type;
    EXPECT_EQ(row.role == QuantRole::kWeighted, row.weight_input >= 0) << row.op_type;
    EXPECT_EQ(row.role == QuantRole::kNever, !row.note.empty()) << row.op_type;
    EXPECT_EQ(find_op(node_of(row.op_type)), &row);
  }
}

TEST(OpTableTest, OtherDomainsAndUnknownOperatorsHaveNoRow) {
  onnx::NodeProto node = node_of("Conv");
  node.set_domain("com.example");
  EXPECT_EQ(find_op(node), nullptr);
  EXPECT_EQ(find_op(node_of("Convv")), nullptr);
}

TEST(OpTableTest, ChannelAxisOfEachWeight) {
  EXPECT_EQ(weight_channel_axis(node_of("Conv"), 4), 0);
  EXPECT_EQ(weight_channel_axis(node_of("ConvTranspose"), 4), 1);
  EXPECT_EQ(weight_channel_axis(node_of("Gemm"), 2), 1);
  EXPECT_EQ(weight_channel_axis(node_of("MatMul"), 2), 1);
  EXPECT_EQ(weight_channel_axis(node_of("MatMul"), 3), std::nullopt);
  EXPECT_EQ(weight_channel_axis(node_of("MatMul"), 1), std::nullopt);
  onnx::NodeProto gemm = node_of("Gemm");
  graph::set_int_attribute(gemm, "transB", 1);
  EXPECT_EQ(weight_channel_axis(gemm, 2), 0);
  onnx::NodeProto grouped = node_of("ConvTranspose");
  graph::set_int_attribute(grouped, "group", 2);
  EXPECT_EQ(weight_channel_axis(grouped, 4), std::nullopt);
}

}  // namespace
}  // namespace narrow::ops
