#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"
#include "tests/support/temp_folder.h"

namespace narrow {
namespace {

graph::Model small_model() {
  return io::check_model(
      test::graph_from_text("agraph (float[N,3] x) => (float[N,3] y) <float[3] b = {1, 2, 3}> { y = Add (x, b) }")
          .proto());
}

TEST(SaveTest, UnknownFieldsAndMetadataSurvive) {
  const test::TempFolder folder;
  graph::Model model = small_model();
  auto* property = model.mutable_proto().add_metadata_props();
  property->set_key("author");
  property->set_value("us");
  // Field 1000 is nobody's: what a newer ONNX might write.
  std::string bytes = model.proto().SerializeAsString() + std::string("\xC2\x3E\x02hi", 5);
  write_file(folder / "in.onnx", bytes);
  io::save_model(io::load_model(folder / "in.onnx"), folder / "out.onnx");
  const std::string written = read_text(folder / "out.onnx");
  EXPECT_NE(written.find(std::string("\xC2\x3E\x02hi", 5)), std::string::npos);
  EXPECT_NE(written.find("author"), std::string::npos);
}

// OpenVINO refuses a file that has two of a kind among its first three fields.
TEST(SaveTest, TheGraphStandsInFrontOfTheOpsetsAsInOtherFiles) {
  const test::TempFolder folder;
  graph::Model model = small_model();
  auto* import = model.mutable_proto().add_opset_import();
  import->set_domain("com.example");
  import->set_version(1);
  model.mutable_proto().set_producer_name("us");
  io::save_model(model, folder / "m.onnx");
  const std::string written = read_text(folder / "m.onnx");
  constexpr std::string_view kVersionAndProducer("\x08\x08\x12\x02us\x3A", 7);  // fields 1 and 2, and the tag of 7
  EXPECT_EQ(written.substr(0, 7), kVersionAndProducer);
  EXPECT_EQ(io::load_model(folder / "m.onnx").proto().SerializeAsString(), model.proto().SerializeAsString());
}

TEST(SaveTest, AFailureLeavesTheOldFile) {
  const test::TempFolder folder;
  EXPECT_THROW(io::save_model(small_model(), folder / "none" / "m.onnx"), Error);
  EXPECT_THROW(io::save_model(small_model(), "/dev/full"), Error);
  write_file(folder / "file", "x");
  EXPECT_THROW(io::save_model(small_model(), folder / "file" / "m.onnx"), Error);
  EXPECT_EQ(read_text(folder / "file"), "x");
}

TEST(SaveTest, UncommittedFilesVanish) {
  const test::TempFolder folder;
  {
    AtomicFile file(folder / "m.onnx");
    file.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SaveTest, OnlyTheUsersOwnValueInfosAreSaved) {
  const test::TempFolder folder;
  const graph::Model text = test::graph_from_text(
      "agraph (float[N,3] x) => (float[N,3] y) <float[N,3] told> { told = Relu (x) other = Relu (told) y = Neg (other) "
      "}");
  ASSERT_EQ(text.graph().value_info_size(), 1);
  graph::Model model = io::check_model(text.proto());
  EXPECT_EQ(model.graph().value_info_size(), 2);
  io::save_model(model, folder / "m.onnx");
  EXPECT_EQ(model.graph().value_info_size(), 2);
  onnx::ModelProto saved;
  ASSERT_TRUE(saved.ParseFromString(read_text(folder / "m.onnx")));
  ASSERT_EQ(saved.graph().value_info_size(), 1);
  EXPECT_EQ(saved.graph().value_info(0).name(), "told");
  EXPECT_EQ(io::saved_bytes(model), static_cast<int64_t>(read_text(folder / "m.onnx").size()));
}

TEST(SaveTest, TheSameModelGivesTheSameBytes) {
  const test::TempFolder folder;
  io::save_model(small_model(), folder / "a.onnx");
  io::save_model(small_model(), folder / "b.onnx");
  EXPECT_EQ(read_text(folder / "a.onnx"), read_text(folder / "b.onnx"));
}

/// A weight in a file, one in the model, and a Constant node's in a file.
graph::Model model_with_weights(const test::TempFolder& folder) {
  std::string data;
  for (int i = 0; i < 6000; ++i) {
    const auto value = static_cast<float>(i);
    data.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  write_file(folder / "weights.bin", data);
  onnx::ModelProto proto = test::graph_from_text(
                               "agraph (float[N,30] x) => (float[N,40] y) {"
                               " t = MatMul (x, v)  u = MatMul (t, w)  c = Constant <value = float[1] {1}> ()"
                               " y = Add (u, c) }")
                               .proto();
  onnx::GraphProto& graph = *proto.mutable_graph();
  Tensor own(DataType::kFloat32, {30, 50});
  for (int64_t i = 0; i < own.size(); ++i) own.mutable_data<float>()[static_cast<size_t>(i)] = -static_cast<float>(i);
  *graph.add_initializer() = graph::tensor_proto("v", own);
  const auto in_file = [](onnx::TensorProto& tensor, const Shape& shape, uint64_t offset) {
    tensor = onnx::TensorProto();
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const int64_t size : shape) tensor.add_dims(size);
    const auto length = static_cast<uint64_t>(element_count(shape)) * sizeof(float);
    graph::set_external(tensor, {.location = "weights.bin", .offset = offset, .length = length});
  };
  onnx::TensorProto& w = *graph.add_initializer();
  in_file(w, {50, 40}, 4000);
  w.set_name("w");
  in_file(*graph.mutable_node(2)->mutable_attribute(0)->mutable_t(), {1, 40}, 16000);
  return io::check_model(proto, folder.path());
}

float element(const graph::Model& model, const onnx::TensorProto& tensor, size_t at) {
  return model.tensor(tensor).data<float>()[at];
}

TEST(SaveTest, WeightsOfSmallModelsAreEmbedded) {
  const test::TempFolder folder;
  graph::Model model = model_with_weights(folder);
  const std::string before = model.proto().SerializeAsString();
  EXPECT_EQ(io::save_model(model, folder / "m.onnx").size(), 1U);
  EXPECT_EQ(model.proto().SerializeAsString(), before);
  EXPECT_EQ(io::saved_bytes(model) / 1000, static_cast<int64_t>(read_text(folder / "m.onnx").size()) / 1000);
  std::filesystem::remove(folder / "weights.bin");
  const graph::Model saved = io::load_model(folder / "m.onnx");
  EXPECT_EQ(element(saved, saved.graph().initializer(0), 7), -7);
  EXPECT_EQ(element(saved, saved.graph().initializer(1), 7), 1007);
  EXPECT_EQ(element(saved, saved.graph().node(2).attribute(0).t(), 7), 4007);
}

TEST(SaveTest, AFailureLeavesTheModelAsItWas) {
  const test::TempFolder folder;
  graph::Model model = model_with_weights(folder);
  onnx::NodeProto& beyond = *model.mutable_graph().add_node();
  beyond = model.graph().node(2);
  graph::set_external(*beyond.mutable_attribute(0)->mutable_t(),
                      {.location = "weights.bin", .offset = 1 << 20, .length = 40 * sizeof(float)});
  const std::string before = model.proto().SerializeAsString();
  EXPECT_THROW(io::save_model(model, folder / "m.onnx"), Error);
  EXPECT_THROW(io::save_model(model, folder / "m.onnx", {.largest_file = 8000}), Error);
  EXPECT_EQ(model.proto().SerializeAsString(), before);
  EXPECT_FALSE(std::filesystem::exists(folder / "m.onnx"));
}

TEST(SaveTest, WeightsOfLargeModelsLieInAFileBesideIt) {
  const test::TempFolder folder;
  graph::Model model = model_with_weights(folder);
  const std::string before = model.proto().SerializeAsString();
  const auto files = io::save_model(model, folder / "m.onnx", {.largest_file = 8000});
  EXPECT_EQ(files, (std::vector{folder / "m.onnx", folder / "m.onnx.data"}));
  EXPECT_EQ(model.proto().SerializeAsString(), before);
  EXPECT_LT(read_text(folder / "m.onnx").size(), 1000U);
  std::filesystem::remove(folder / "weights.bin");
  const graph::Model saved = io::load_model(folder / "m.onnx");
  for (const onnx::TensorProto& tensor : saved.graph().initializer()) {
    EXPECT_EQ(tensor.data_location(), onnx::TensorProto::EXTERNAL) << tensor.name();
  }
  EXPECT_EQ(element(saved, saved.graph().initializer(0), 7), -7);
  EXPECT_EQ(element(saved, saved.graph().initializer(1), 7), 1007);
  EXPECT_EQ(element(saved, saved.graph().node(2).attribute(0).t(), 7), 4007);
}

}  // namespace
}  // namespace narrow
