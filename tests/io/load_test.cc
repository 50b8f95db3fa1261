#include "lib/io/load.h"

#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/graph/graph_index.h"
#include "tests/support/model_text.h"
#include "tests/support/temp_folder.h"

namespace narrow {
namespace {

struct Failure {
  ErrorKind kind = ErrorKind::kInternal;
  std::string text;
};

template <class Body>
Failure failure_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {ErrorKind::kInternal, "no error"};
}

onnx::ModelProto small_model() {
  return test::graph_from_text("agraph (float[N,3] x) => (float[N,3] y) <float[3] b = {1, 2, 3}> { y = Add (x, b) }")
      .proto();
}

TEST(LoadTest, ShapesAreInferred) {
  const auto model = io::check_model(
      test::graph_from_text("agraph (float[2,3] x) => (float[M,N] y) { t = Transpose (x)\n y = Relu (t) }").proto());
  EXPECT_EQ(graph::GraphIndex(model.graph()).type("t").shape, (Shape{3, 2}));
}

TEST(LoadTest, FilesThatAreNoModels) {
  const test::TempFolder folder;
  const Failure missing = failure_of([&] { io::load_model(folder / "none.onnx"); });
  EXPECT_EQ(missing.kind, ErrorKind::kData);
  EXPECT_NE(missing.text.find("No such file or directory"), std::string::npos) << missing.text;

  write_file(folder / "empty.onnx", "");
  const Failure empty = failure_of([&] { io::load_model(folder / "empty.onnx"); });
  EXPECT_EQ(empty.kind, ErrorKind::kModel);
  EXPECT_EQ(empty.text, (folder / "empty.onnx").string() + ": the file is empty");

  write_file(folder / "text.onnx", "this is not a model");
  EXPECT_EQ(failure_of([&] { io::load_model(folder / "text.onnx"); }).kind, ErrorKind::kModel);

  EXPECT_EQ(failure_of([&] { io::load_model(folder.path()); }).kind, ErrorKind::kData);
}

TEST(LoadTest, EveryTruncationIsRefused) {
  const test::TempFolder folder;
  const std::string whole = small_model().SerializeAsString();
  for (size_t size = 0; size < whole.size(); size += 7) {
    write_file(folder / "cut.onnx", whole.substr(0, size));
    EXPECT_EQ(failure_of([&] { io::load_model(folder / "cut.onnx"); }).kind, ErrorKind::kModel) << size;
  }
}

TEST(LoadTest, UnknownOperatorIsNamed) {
  onnx::ModelProto proto = small_model();
  proto.mutable_graph()->mutable_node(0)->set_op_type("Frobnicate");
  proto.mutable_graph()->mutable_node(0)->set_name("middle");
  const Failure failure = failure_of([&] { io::check_model(proto); });
  EXPECT_EQ(failure.kind, ErrorKind::kUnsupported);
  EXPECT_EQ(failure.text, "node 'middle': there is no operator 'Frobnicate' in opset 17 of domain 'ai.onnx'");
}

TEST(LoadTest, OpsetsOutsideTheKnownAreRefused) {
  onnx::ModelProto proto = small_model();
  proto.mutable_opset_import(0)->set_version(99);
  EXPECT_EQ(failure_of([&] { io::check_model(proto); }).kind, ErrorKind::kUnsupported);
  proto.mutable_opset_import(0)->set_version(6);
  EXPECT_EQ(failure_of([&] { io::check_model(proto); }).text, "opset 6 is older than 7, the oldest supported");
}

TEST(LoadTest, ShapesThatContradictAreRefused) {
  const auto model =
      test::graph_from_text("agraph (float[2,3] x, float[4,5] w) => (float[2,5] y) { y = MatMul (x, w) }");
  EXPECT_EQ(failure_of([&] { io::check_model(model.proto()); }).kind, ErrorKind::kModel);
}

TEST(LoadTest, ExternalDataStaysInsideTheFolder) {
  const test::TempFolder folder;
  onnx::ModelProto proto = small_model();
  onnx::TensorProto& tensor = *proto.mutable_graph()->mutable_initializer(0);
  tensor.clear_float_data();
  tensor.clear_raw_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  auto* entry = tensor.add_external_data();
  entry->set_key("location");
  entry->set_value("weights.bin");
  write_file(folder / "m.onnx", proto.SerializeAsString());
  const float values[] = {4, 5, 6};
  write_file(folder / "weights.bin", std::string_view(reinterpret_cast<const char*>(values), sizeof values));
  const graph::Model model = io::load_model(folder / "m.onnx");
  EXPECT_EQ(model.tensor(model.graph().initializer(0)).data<float>()[2], 6);

  write_file(folder / "weights.bin", "short");
  const graph::Model damaged = io::load_model(folder / "m.onnx");
  const Failure failure = failure_of([&] { damaged.tensor(damaged.graph().initializer(0)); });
  EXPECT_EQ(failure.text, "external data of 'b' ends after 'weights.bin' does");

  entry->set_value("../weights.bin");
  write_file(folder / "m.onnx", proto.SerializeAsString());
  EXPECT_EQ(failure_of([&] { io::load_model(folder / "m.onnx"); }).kind, ErrorKind::kModel);
}

}  // namespace
}  // namespace narrow
