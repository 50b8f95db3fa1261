#include "lib/graph/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"

namespace narrow::graph {
namespace {

using testing::ElementsAre;

TEST(ModelTest, TensorsInEveryStorage) {
  onnx::TensorProto proto;
  proto.add_dims(2);
  proto.set_data_type(onnx::TensorProto::INT8);
  proto.add_int32_data(-3);
  proto.add_int32_data(127);
  EXPECT_THAT(embedded_tensor(proto).data<int8_t>(), ElementsAre(-3, 127));

  proto.clear_int32_data();
  proto.set_raw_data("\xFF\x02", 2);
  EXPECT_THAT(embedded_tensor(proto).data<int8_t>(), ElementsAre(-1, 2));

  proto.set_data_type(onnx::TensorProto::INT4);  // two elements in one byte, the first in the low bits
  proto.set_raw_data("\x21", 1);
  EXPECT_EQ(embedded_tensor(proto).byte_size(), 1U);
}

TEST(ModelTest, ElementsThatDoNotFitTheShapeAreRefused) {
  onnx::TensorProto proto;
  proto.set_name("w");
  proto.add_dims(3);
  proto.set_data_type(onnx::TensorProto::FLOAT);
  proto.add_float_data(1);
  EXPECT_THROW(embedded_tensor(proto), Error);
  proto.set_raw_data("1234567", 7);
  EXPECT_THROW(embedded_tensor(proto), Error);
  proto.set_data_type(77);
  EXPECT_THROW(embedded_tensor(proto), Error);
}

TEST(ModelTest, ProtoAndBackKeepsTheBits) {
  const Tensor tensor = Tensor::of<float>({2, 1}, {0.1F, -0.0F});
  const Tensor back = embedded_tensor(tensor_proto("t", tensor));
  EXPECT_EQ(back.shape(), tensor.shape());
  EXPECT_THAT(back.data<float>(), ElementsAre(0.1F, -0.0F));
  const Tensor words = Tensor::of_strings({2}, {"a", "bc"});
  EXPECT_THAT(embedded_tensor(tensor_proto("s", words)).strings(), ElementsAre("a", "bc"));
}

}  // namespace
}  // namespace narrow::graph
