#include "lib/graph/value_proto.h"

#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/graph/model.h"

namespace narrow::graph {
namespace {

// Files of ONNX's node tests, byte by byte.
const std::string kSequence(  // [int64 [1, 2], int64 [3]] named "s"
    "\n\x01s\x10\x01\x1a\x16\x08\x02\x10\x07J\x10\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"
    "\x1a\x0e\x08\x01\x10\x07J\x08\x03\0\0\0\0\0\0\0",
    45);
const std::string kOptionalSequence("\n\x07opt_seq\x10\x03*\x0c\x10\x01\x1a\x08\x10\x01J\x04\0\0\0\0", 25);
const std::string kEmptyOptional("\n\x0eoptional_input\x10\0", 18);
const std::string kTensor(
    "\x10\tB\x04"
    "condJ\x01\x01",
    11);

NamedValue parsed(const std::string& bytes, ValueForm form) {
  return parse_value(std::as_bytes(std::span(bytes)), form);
}

std::string refused(const std::string& bytes, ValueForm form) {
  try {
    parsed(bytes, form);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
  return "no error";
}

TEST(ValueProtoTest, ReadsEachForm) {
  EXPECT_EQ(parsed(kTensor, ValueForm::kTensor).name, "cond");
  EXPECT_TRUE(parsed(kTensor, ValueForm::kTensor).value.data<bool>()[0]);
  const NamedValue sequence = parsed(kSequence, ValueForm::kSequence);
  EXPECT_EQ(sequence.name, "s");
  ASSERT_EQ(sequence.value.sequence().size(), 2U);
  EXPECT_EQ(sequence.value.sequence()[0].shape(), (Shape{2}));
  EXPECT_EQ(sequence.value.sequence()[1].data<int64_t>()[0], 3);
  const NamedValue optional = parsed(kOptionalSequence, ValueForm::kOptional);
  EXPECT_EQ(optional.name, "opt_seq");
  ASSERT_EQ(optional.value.sequence().size(), 1U);
  EXPECT_EQ(optional.value.sequence()[0].shape(), Shape());
  EXPECT_EQ(parsed(kEmptyOptional, ValueForm::kOptional).value.type(), DataType::kEmptyOptional);
}

TEST(ValueProtoTest, WritesWhatOnnxWrites) {
  for (const auto& [bytes, form] :
       {std::pair(kSequence, ValueForm::kSequence), std::pair(kOptionalSequence, ValueForm::kOptional),
        std::pair(kEmptyOptional, ValueForm::kOptional)}) {
    const NamedValue value = parsed(bytes, form);
    EXPECT_EQ(value_bytes(value.name, value.value, form), bytes);
  }
}

TEST(ValueProtoTest, ASequenceOfOptionalsKeepsItsOrder) {
  const Tensor sequence = Tensor::of_sequence({Tensor::scalar(1.0F), Tensor::empty_optional(), Tensor::scalar(2.0F)});
  const auto again = parsed(value_bytes("s", sequence, ValueForm::kSequence), ValueForm::kSequence).value.sequence();
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(again[1].type(), DataType::kEmptyOptional);
  EXPECT_EQ(again[2].data<float>()[0], 2);
}

TEST(ValueProtoTest, RefusesOtherFormsAndBrokenFiles) {
  EXPECT_EQ(refused(kTensor, ValueForm::kSequence), "not an ONNX sequence");
  EXPECT_EQ(refused(kTensor, ValueForm::kOptional), "not an ONNX optional");
  EXPECT_EQ(refused("", ValueForm::kSequence), "not an ONNX sequence");
  EXPECT_EQ(refused(kSequence.substr(0, 40), ValueForm::kSequence), "not an ONNX sequence");
  // The bytes of a sequence as a tensor claim a shape that no memory holds.
  EXPECT_NE(refused(kSequence, ValueForm::kTensor), "no error");
  EXPECT_NE(refused(kOptionalSequence, ValueForm::kTensor), "no error");
}

// A shape of 2^40 elements with four bytes behind it: refused by its size, before anything is allocated.
TEST(ValueProtoTest, AShapeBeyondTheFileIsNoMemoryToAskFor) {
  onnx::TensorProto proto;
  proto.set_name("w");
  proto.set_data_type(onnx::TensorProto::FLOAT);
  proto.add_dims(int64_t{1} << 40);
  proto.set_raw_data("abcd");
  const std::string wrong = "tensor 'w' does not have as many elements as its shape";
  EXPECT_EQ(refused(proto.SerializeAsString(), ValueForm::kTensor), wrong);
  proto.clear_raw_data();
  proto.add_float_data(1);
  EXPECT_EQ(refused(proto.SerializeAsString(), ValueForm::kTensor), wrong);
}

TEST(ValueProtoTest, DeclaredTypesAreUnwrapped) {
  onnx::TypeProto type;
  auto* tensor = type.mutable_optional_type()->mutable_elem_type()->mutable_sequence_type()->mutable_elem_type();
  tensor->mutable_tensor_type()->set_elem_type(onnx::TensorProto::STRING);
  const DeclaredValue declared = declared_value(type);
  EXPECT_EQ(declared.form, ValueForm::kOptional);
  EXPECT_TRUE(declared.of_sequences);
  EXPECT_EQ(declared.type, DataType::kString);
  EXPECT_FALSE(declared.shape.has_value());
}

}  // namespace
}  // namespace narrow::graph
