#include "lib/io/light_parse.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"
#include "tests/support/temp_folder.h"

namespace narrow {
namespace {

constexpr int64_t kRows = 50;
constexpr int64_t kColumns = 40;

// w is large enough to stay in the file, b is not.
onnx::ModelProto model_with_large_weight() {
  onnx::ModelProto proto = test::graph_from_text(
                               "agraph (float[N,50] x) => (float[N,40] y) <float[40] b = {0}> {"
                               " t = MatMul (x, w)\n y = Add (t, b) }")
                               .proto();
  Tensor weight(DataType::kFloat32, {kRows, kColumns});
  for (int64_t i = 0; i < weight.size(); ++i) {
    weight.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(i) / 8;
  }
  auto* initializers = proto.mutable_graph()->mutable_initializer();
  initializers->Mutable(0)->clear_float_data();
  *initializers->Mutable(0) = graph::tensor_proto("b", Tensor::of<float>({kColumns}, std::vector<float>(kColumns, 1)));
  *initializers->Add() = graph::tensor_proto("w", weight);
  return proto;
}

std::string refusal_of(const onnx::ModelProto& proto, const std::filesystem::path& path) {
  write_file(path, proto.SerializeAsString());
  try {
    io::load_model(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel);
    return error.what();
  }
  return "no error";
}

TEST(LightParse, LargeWeightsStayInTheFile) {
  const test::TempFolder folder;
  const onnx::ModelProto proto = model_with_large_weight();
  write_file(folder / "m.onnx", proto.SerializeAsString());
  const io::LightModel light = io::parse_light(MappedFile(folder / "m.onnx"));
  ASSERT_EQ(light.payloads.size(), 1U);
  EXPECT_EQ(light.payloads[0].initializer, 1);
  EXPECT_EQ(light.payloads[0].length, 4U * kRows * kColumns);
  EXPECT_LT(light.proto.ByteSizeLong(), 1000U);

  const graph::Model model = io::load_model(folder / "m.onnx");
  EXPECT_LT(model.proto().ByteSizeLong(), 1000U);
  const Tensor weight = model.tensor(model.graph().initializer(1));
  EXPECT_EQ(weight.shape(), (Shape{kRows, kColumns}));
  for (int64_t i = 0; i < weight.size(); ++i) {
    ASSERT_EQ(weight.data<float>()[static_cast<size_t>(i)], static_cast<float>(i) / 8);
  }
}

TEST(LightParse, WhatIsSavedHoldsTheWeightsItself) {
  const test::TempFolder folder;
  const onnx::ModelProto proto = model_with_large_weight();
  write_file(folder / "m.onnx", proto.SerializeAsString());
  io::save_model(io::load_model(folder / "m.onnx"), folder / "copy.onnx");
  std::filesystem::remove(folder / "m.onnx");
  onnx::ModelProto copy;
  ASSERT_TRUE(copy.ParseFromString(read_text(folder / "copy.onnx")));
  ASSERT_EQ(copy.graph().initializer_size(), 2);
  EXPECT_EQ(copy.graph().initializer(1).SerializeAsString(), proto.graph().initializer(1).SerializeAsString());
}

// As files of older exporters have it.
TEST(LightParse, FloatsInAFieldOfTheirOwnStayInTheFileToo) {
  const test::TempFolder folder;
  onnx::ModelProto proto = model_with_large_weight();
  onnx::TensorProto& weight = *proto.mutable_graph()->mutable_initializer(1);
  const Tensor values = graph::embedded_tensor(weight);
  weight.clear_raw_data();
  for (const float value : values.data<float>()) weight.add_float_data(value);
  write_file(folder / "m.onnx", proto.SerializeAsString());
  const graph::Model model = io::load_model(folder / "m.onnx");
  EXPECT_LT(model.proto().ByteSizeLong(), 1000U);
  EXPECT_EQ(model.tensor(model.graph().initializer(1)).data<float>()[8], 1);
}

TEST(LightParse, ALinkedModelLoads) {
  const test::TempFolder folder;
  std::filesystem::create_directory(folder / "store");
  write_file(folder / "store" / "m.onnx", model_with_large_weight().SerializeAsString());
  std::filesystem::create_symlink(folder / "store" / "m.onnx", folder / "link.onnx");
  const graph::Model model = io::load_model(folder / "link.onnx");
  EXPECT_EQ(model.tensor(model.graph().initializer(1)).data<float>()[8], 1);
}

TEST(LightParse, EveryTruncationIsRefused) {
  const test::TempFolder folder;
  const std::string whole = model_with_large_weight().SerializeAsString();
  for (size_t size = 1; size < whole.size(); size += 97) {
    write_file(folder / "cut.onnx", whole.substr(0, size));
    EXPECT_THROW(io::load_model(folder / "cut.onnx"), Error) << size;
  }
}

TEST(LightParse, AWeightOfAnotherLengthIsRefused) {
  const test::TempFolder folder;
  onnx::ModelProto proto = model_with_large_weight();
  proto.mutable_graph()->mutable_initializer(1)->mutable_raw_data()->pop_back();
  const std::string refusal = refusal_of(proto, folder / "m.onnx");
  EXPECT_EQ(refusal, (folder / "m.onnx").string() + ": tensor 'w' has 7999 bytes, its shape and type need 8000");
}

}  // namespace
}  // namespace narrow
