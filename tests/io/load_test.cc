#include "lib/io/load.h"
#include "lib/graph/attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/graph/external_data.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/raise_opset.h"
#include "tests/support/model_text.h"
#include "tests/support/temp_folder.h"

namespace narrow {
namespace {

using testing::HasSubstr;

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

graph::ValueType type_in(const std::string& model, const std::string& value) {
  const graph::Model loaded = io::check_model(test::model_from_text(model).proto());
  return graph::GraphIndex(loaded.graph()).type(value);
}

// ONNX knows nothing of com.microsoft: what stands behind such a node would count as of unknown type.
TEST(LoadTest, ResultsOfMicrosoftsOperatorsHaveTypesAndShapes) {
  const std::string head = "<ir_version: 8, opset_import: [\"\": 17, \"com.microsoft\": 1]>\n";
  const std::string fused = head + R"(agraph (float16[N,4,8] x) => (float16[N,4,8] y) {
      g = com.microsoft.Gelu (x)
      m = com.microsoft.FusedMatMul <transB: int = 1> (g, x)
      y = Identity (g) })";
  EXPECT_EQ(type_in(fused, "g").type, DataType::kFloat16);
  EXPECT_EQ(type_in(fused, "g").shape, (Shape{-1, 4, 8}));
  EXPECT_EQ(type_in(fused, "m").type, DataType::kFloat16);
  EXPECT_EQ(type_in(fused, "m").shape, (Shape{-1, 4, 4}));
}

TEST(LoadTest, ResultsWithChannelsLastHaveNoShapeOfChannelsFirst) {
  const std::string pooled = R"(<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
    agraph (uint8[N,8,8,3] x) => (uint8[N,1,1,3] y)
      <float s = {0.1}, uint8 z = {0}> {
      p = com.microsoft.QLinearGlobalAveragePool <channels_last: int = 1> (x, s, z, s, z)
      y = Identity (p) })";
  EXPECT_EQ(type_in(pooled, "p").type, DataType::kUint8);
  EXPECT_EQ(type_in(pooled, "p").shape, std::nullopt);
}

TEST(LoadTest, AFunctionOfTheModelIsWhatItsBodyMakes) {
  const std::string own = R"(<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
    agraph (float[2,3] x) => (int64[2] y) {
      g = com.microsoft.Gelu (x)
      y = Identity (g) }
    <domain: "com.microsoft", opset_import: ["": 17]> Gelu (a) => (b) { b = Shape (a) })";
  EXPECT_EQ(type_in(own, "g").type, DataType::kInt64);
}

/// A pair of com.microsoft's operators around zero points of `type`, loaded; its domains.
std::vector<std::string> domains_of_pair(const std::string& type, int opset) {
  const std::string graph = "agraph (float[2] x) => (float[2] y) <float s = {0.5}, " + type +
                            " z = {1}> { q = com.microsoft.QuantizeLinear (x, s, z)\n"
                            " y = com.microsoft.DequantizeLinear (q, s, z) }";
  const graph::Model model =
      io::check_model(test::model_from_text("<ir_version: 8, opset_import: [\"\": " + std::to_string(opset) +
                                            ", \"com.microsoft\": 1]>\n" + graph)
                          .proto());
  std::vector<std::string> domains;
  for (const onnx::NodeProto& node : model.graph().node()) domains.push_back(node.domain());
  return domains;
}

// onnxruntime's and AMD's quantizers write these, whatever the opset.
TEST(LoadTest, LinearOperatorsOfMicrosoftBecomeThoseOfOnnx) {
  using Domains = std::vector<std::string>;
  EXPECT_EQ(domains_of_pair("uint8", 13), (Domains{"", ""}));
  EXPECT_EQ(domains_of_pair("int16", 21), (Domains{"", ""}));
  EXPECT_EQ(domains_of_pair("int16", 17), (Domains{"com.microsoft", "com.microsoft"}));
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
}

onnx::ModelProto old_model(const std::string& text, int opset) {
  onnx::ModelProto proto = test::graph_from_text(text).proto();
  proto.mutable_opset_import(0)->set_version(opset);
  return proto;
}

TEST(LoadTest, OldOpsetsAreRaised) {
  const graph::Model model =
      io::check_model(old_model("agraph (float[2,3,4,5] x, float[3] b) => (float[2,3,4,5] y) {"
                                " t = Add <broadcast = 1, axis = 1> (x, b)  y = Relu <consumed_inputs = [0]> (t) }",
                                5));
  EXPECT_EQ(model.opset(), 9);
  ASSERT_EQ(model.graph().node_size(), 3);
  EXPECT_EQ(model.graph().node(0).op_type(), "Unsqueeze");
  EXPECT_EQ(graph::ints_attribute(model.graph().node(0), "axes"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(model.graph().node(1).attribute_size(), 0);
  EXPECT_EQ(model.graph().node(2).attribute_size(), 0);
}

// At opset 3 ONNX infers nothing of Relu, Add and Reshape, and Gemm's converter wants to know what it reads.
TEST(LoadTest, ShapesAreKnownBehindOperatorsThatHadNoInference) {
  const graph::Model model = io::check_model(
      old_model("agraph (float[2,3,4,5] x, float[3] b, float[60,7] w, float[7] c) => (float[2,7] y) {"
                " r = Relu (x)  t = Add <broadcast = 1, axis = 1> (r, b)  p = Greater <broadcast = 1, axis = 1> (t, b)"
                " f = Reshape <shape = [0, -1]> (t)  y = Gemm <broadcast = 1> (f, w, c) }",
                3));
  const graph::GraphIndex index(model.graph());
  EXPECT_EQ(index.type("t").shape, (Shape{2, 3, 4, 5}));
  EXPECT_EQ(index.type("p").type, DataType::kBool);
  EXPECT_EQ(index.type("f").shape, (Shape{2, 60}));
}

TEST(LoadTest, OnnxsDomainMayBeSpelled) {
  onnx::ModelProto proto = small_model();
  for (onnx::NodeProto& node : *proto.mutable_graph()->mutable_node()) node.set_domain("ai.onnx");
  onnx::OperatorSetIdProto& import = *proto.add_opset_import();
  import.set_domain("ai.onnx");
  import.set_version(proto.opset_import(0).version());
  const graph::Model model = io::check_model(proto);
  EXPECT_EQ(model.graph().node(0).domain(), "");
  EXPECT_EQ(model.proto().opset_import_size(), 1);
}

TEST(LoadTest, ScansWithABatchAreNotRaised) {
  const auto scan = old_model(R"(g (float[B,3] s, float[B,T,3] x) => (float[B,3] f, float[B,T,3] y) {
      [loop] f, y = Scan <num_scan_inputs: int = 1,
        body: graph = b (float[3] s, float[3] a) => (float[3] t, float[3] o) { t = Add (s, a)  o = Identity (t) }>
        ("", s, x) })",
                              8);
  const Failure failure = failure_of([&] { graph::raise_opset(scan, 13); });
  EXPECT_EQ(failure.kind, ErrorKind::kUnsupported);
  EXPECT_EQ(failure.text, "node 'loop' (Scan): Scan of opset 8 has no form in later opsets");
}

TEST(LoadTest, SlopesByChannelBroadcast) {
  const graph::Model model =
      io::check_model(old_model("agraph (float[2,3,4] x, float[3] s) => (float[2,3,4] y) { y = PRelu (x, s) }", 6));
  ASSERT_EQ(model.graph().node_size(), 2);
  EXPECT_EQ(graph::ints_attribute(model.graph().node(0), "axes"), (std::vector<int64_t>{1}));
}

TEST(LoadTest, ShapesBecomeInputsOfReshape) {
  const graph::Model model =
      io::check_model(old_model("agraph (float[2,3] x) => (float[3,2] y) { y = Reshape <shape = [3, 2]> (x) }", 1));
  EXPECT_EQ(model.graph().node(0).op_type(), "Constant");
  EXPECT_EQ(model.graph().node(1).input_size(), 2);
}

TEST(LoadTest, AttributesOfOldOpsetsGetTheirLaterForms) {
  const graph::Model model =
      io::check_model(old_model("agraph (float[2,3] x) => (int32[3,5] y) {"
                                " t = Pad <paddings = [0, 0, 1, 2]> (x)  y = Cast <to = \"INT32\"> (t) }",
                                1));
  EXPECT_EQ(graph::ints_attribute(model.graph().node(0), "pads"), (std::vector<int64_t>{0, 0, 1, 2}));
  EXPECT_EQ(graph::int_attribute(model.graph().node(1), "to", 0), onnx::TensorProto::INT32);
}

TEST(LoadTest, WhatCanNotBeRaisedIsNamed) {
  const Failure failure = failure_of([&] {
    io::check_model(
        old_model("agraph (float[2] x, float[1] n, float[1] axis) => (float[N] y) { y = Tile (x, n, axis) }", 1));
  });
  EXPECT_EQ(failure.kind, ErrorKind::kUnsupported);
  EXPECT_EQ(failure.text, "node 'y' (Tile): tiles and axis of opset 1");
}

TEST(LoadTest, ShapesThatContradictAreRefused) {
  const auto model =
      test::graph_from_text("agraph (float[2,3] x, float[4,5] w) => (float[2,5] y) { y = MatMul (x, w) }");
  EXPECT_EQ(failure_of([&] { io::check_model(model.proto()); }).kind, ErrorKind::kModel);
}

/// y = MatMul (x, w) of a weight that is to be added.
onnx::ModelProto matmul_without_weight() {
  return test::graph_from_text("agraph (float[N,3] x) => (float[N,2] y) { y = MatMul (x, w) }").proto();
}

/// [[0, 5], [0, 0], [7, 0]].
onnx::SparseTensorProto sparse_weight(const std::vector<int64_t>& index_shape, const std::vector<int64_t>& indices) {
  onnx::SparseTensorProto sparse;
  *sparse.mutable_values() = graph::tensor_proto("w", Tensor::of<float>({2}, {5, 7}));
  *sparse.mutable_indices() =
      graph::tensor_proto("", Tensor::of<int64_t>(Shape(index_shape), std::span<const int64_t>(indices)));
  sparse.add_dims(3);
  sparse.add_dims(2);
  return sparse;
}

TEST(LoadTest, SparseTensorsBecomeDense) {
  const std::vector<float> expected{0, 5, 0, 0, 7, 0};
  const auto values_of = [](const graph::Model& model, const onnx::TensorProto& tensor) {
    const Tensor dense = model.tensor(tensor);
    EXPECT_EQ(dense.shape(), (Shape{3, 2}));
    return std::vector<float>(dense.data<float>().begin(), dense.data<float>().end());
  };
  for (const auto& sparse : {sparse_weight({2}, {1, 4}), sparse_weight({2, 2}, {0, 1, 2, 0})}) {
    onnx::ModelProto proto = matmul_without_weight();
    *proto.mutable_graph()->add_sparse_initializer() = sparse;
    const graph::Model model = io::check_model(proto);
    EXPECT_EQ(model.graph().sparse_initializer_size(), 0);
    EXPECT_EQ(values_of(model, model.graph().initializer(0)), expected);
  }
  onnx::ModelProto proto = matmul_without_weight();
  onnx::NodeProto& constant = *proto.mutable_graph()->add_node();  // behind its reader
  constant.set_op_type("Constant");
  constant.add_output("w");
  onnx::AttributeProto& attribute = *constant.add_attribute();
  attribute.set_name("sparse_value");
  attribute.set_type(onnx::AttributeProto::SPARSE_TENSOR);
  *attribute.mutable_sparse_tensor() = sparse_weight({2}, {1, 4});
  const graph::Model model = io::check_model(proto);
  EXPECT_EQ(values_of(model, model.graph().node(0).attribute(0).t()), expected);
}

TEST(LoadTest, ASparseTensorTooLargeWhenDenseIsRefused) {
  onnx::ModelProto proto = matmul_without_weight();
  onnx::SparseTensorProto sparse = sparse_weight({2}, {1, 4});
  sparse.set_dims(1, int64_t{1} << 30);
  *proto.mutable_graph()->add_sparse_initializer() = sparse;
  const Failure failure = failure_of([&] { io::check_model(proto); });
  EXPECT_EQ(failure.kind, ErrorKind::kUnsupported);
  EXPECT_EQ(failure.text,
            "sparse tensor 'w' of shape [3,1073741824] takes 12884901888 bytes when dense, more than 1073741824");
}

TEST(LoadTest, ASparseIndexOutsideTheShapeIsRefused) {
  onnx::ModelProto proto = matmul_without_weight();
  *proto.mutable_graph()->add_sparse_initializer() = sparse_weight({2}, {1, 6});
  EXPECT_EQ(failure_of([&] { io::check_model(proto); }).kind, ErrorKind::kModel);
}

TEST(LoadTest, ValuesWithoutShapesAreInferred) {
  onnx::ModelProto proto = small_model();
  auto* input = proto.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
  auto* output = proto.mutable_graph()->mutable_output(0);
  output->mutable_type()->mutable_tensor_type()->clear_shape();
  EXPECT_EQ(graph::GraphIndex(io::check_model(proto).graph()).type("y").shape, (Shape{-1, 3}));
  output->clear_type();
  const graph::Model untyped = io::check_model(proto);
  EXPECT_EQ(graph::GraphIndex(untyped.graph()).type("y").type, DataType::kFloat32);
  EXPECT_EQ(graph::GraphIndex(untyped.graph()).type("y").shape, (Shape{-1, 3}));
  input->clear_shape();
  const graph::Model unshaped = io::check_model(proto);
  EXPECT_FALSE(graph::GraphIndex(unshaped.graph()).type("x").shape.has_value());
  EXPECT_FALSE(graph::GraphIndex(unshaped.graph()).type("y").shape.has_value());
  proto.mutable_graph()->mutable_input(0)->clear_type();
  EXPECT_EQ(failure_of([&] { io::check_model(proto); }).text, "input 'x' has no type");
}

TEST(LoadTest, NodesAreSorted) {
  const auto sorted = test::graph_from_text("agraph (float[N] x) => (float[N] y) { t = Relu (x)\n y = Neg (t) }");
  onnx::ModelProto proto = sorted.proto();
  proto.mutable_graph()->mutable_node()->SwapElements(0, 1);
  EXPECT_EQ(io::check_model(proto).graph().node(0).op_type(), "Relu");
  proto.mutable_graph()->mutable_node(1)->set_input(0, "y");
  const Failure cycle = failure_of([&] { io::check_model(proto); });
  EXPECT_EQ(cycle.kind, ErrorKind::kModel);
  EXPECT_EQ(cycle.text, "node 'y' is on a cycle");
}

TEST(LoadTest, OldFilesNeedNotListInitializersAsInputs) {
  onnx::ModelProto proto = small_model();
  for (const int version : {1, 3}) {
    proto.set_ir_version(version);
    EXPECT_EQ(io::check_model(proto).graph().initializer_size(), 1) << version;
  }
  // Operators that need the initializer's type, and an opset that is raised: along axis 0.
  for (const std::string& text :
       {std::string("<ir_version: 3, opset_import: [\"\" : 6]> g (float[2,3] x) => (float[2,3] y) "
                    "<float[2] b = {1, 2}> { y = Add <broadcast = 1, axis = 0> (x, b) }"),
        std::string("<ir_version: 3, opset_import: [\"\" : 11]> g () => (float[2,1] y) "
                    "<float[2] b = {1, 2}> { y = Unsqueeze <axes = [1]> (b) }")}) {
    const graph::Model model = io::check_model(test::model_from_text(text).proto());
    EXPECT_EQ(model.proto().ir_version(), 3);
    EXPECT_EQ(graph::GraphIndex(model.graph()).type("y").shape->size(), 2U);
  }
  proto.set_ir_version(0);
  EXPECT_EQ(failure_of([&] { io::check_model(proto); }).kind, ErrorKind::kModel);
}

TEST(LoadTest, UnknownDimensionsGetNoNames) {
  // The number of rows that NonZero finds is anyone's guess; "unk__7" is the user's own name.
  const auto model = io::check_model(
      test::graph_from_text("agraph (float[unk__7] x) => (int64[R,M] y, float[unk__7] z) { y = NonZero (x)\n"
                            "t = NonZero (x)\n u = Transpose (t)\n z = Relu (x) }")
          .proto());
  for (const auto& value : model.graph().value_info()) {
    for (const auto& dimension : value.type().tensor_type().shape().dim()) {
      EXPECT_FALSE(dimension.dim_param().starts_with("unk__")) << value.name();
    }
  }
  EXPECT_EQ(model.graph().output(0).type().tensor_type().shape().dim(1).dim_param(), "M");
  EXPECT_EQ(model.graph().output(1).type().tensor_type().shape().dim(0).dim_param(), "unk__7");
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
  const auto failure = [&] { return failure_of([&] { io::load_model(folder / "m.onnx"); }); };
  EXPECT_THAT(failure().text, HasSubstr("m.onnx: external data of 'b' ends after 'weights.bin' does"));
  std::filesystem::remove(folder / "weights.bin");
  EXPECT_THAT(failure().text, HasSubstr("m.onnx: external data of 'b': can not open"));

  // They are there, but a model file must not name them.
  std::filesystem::create_directory(folder / "in");
  write_file(folder / "weights.bin", std::string_view(reinterpret_cast<const char*>(values), sizeof values));
  for (const std::string& location :
       {std::string("../weights.bin"), std::string("down/../../weights.bin"), (folder / "weights.bin").string()}) {
    entry->set_value(location);
    write_file(folder / "in/m.onnx", proto.SerializeAsString());
    const Failure outside = failure_of([&] { io::load_model(folder / "in/m.onnx"); });
    EXPECT_EQ(outside.kind, ErrorKind::kModel);
    EXPECT_THAT(outside.text, HasSubstr("external data of 'b': '" + location + "' lies outside the model's folder"));
  }
}

TEST(LoadTest, AnUnknownElementTypeIsToldWithTheTensor) {
  onnx::ModelProto proto = small_model();
  proto.mutable_graph()->mutable_initializer(0)->set_data_type(99);
  const Failure failure = failure_of([&] { io::check_model(proto); });
  EXPECT_EQ(failure.kind, ErrorKind::kModel);
  EXPECT_EQ(failure.text, "tensor 'b' has unknown element type 99");
}

/// Its weight of three floats lies in weights.bin.
onnx::ModelProto model_with_external_weight() {
  onnx::ModelProto proto = small_model();
  onnx::TensorProto& tensor = *proto.mutable_graph()->mutable_initializer(0);
  tensor.clear_float_data();
  tensor.clear_raw_data();
  graph::set_external(tensor, {.location = "weights.bin", .offset = 0, .length = 12});
  return proto;
}

// As caches of downloads lay files: model and data are links to blobs elsewhere.
TEST(LoadTest, ExternalDataMayBeALink) {
  const test::TempFolder folder;
  onnx::ModelProto proto = model_with_external_weight();
  std::filesystem::create_directory(folder / "blobs");
  std::filesystem::create_directory(folder / "snapshot");
  const float values[] = {4, 5, 6};
  write_file(folder / "blobs/1", proto.SerializeAsString());
  write_file(folder / "blobs/2", std::string_view(reinterpret_cast<const char*>(values), sizeof values));
  std::filesystem::create_symlink("../blobs/1", folder / "snapshot/m.onnx");
  std::filesystem::create_symlink("../blobs/2", folder / "snapshot/weights.bin");
  const graph::Model model = io::load_model(folder / "snapshot/m.onnx");
  EXPECT_EQ(model.tensor(model.graph().initializer(0)).data<float>()[2], 6);
}

// In memory they would say that the file holds halves, and in another order.
TEST(LoadTest, OurOwnKeysOfExternalDataMeanNothingInFiles) {
  const test::TempFolder folder;
  onnx::ModelProto proto = model_with_external_weight();
  for (const auto& [key, value] : {std::pair("narrow_stored_type", "float16"), std::pair("narrow_swap", "1,700,2,1")}) {
    auto* entry = proto.mutable_graph()->mutable_initializer(0)->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
  const float values[] = {4, 5, 6};
  write_file(folder / "m.onnx", proto.SerializeAsString());
  write_file(folder / "weights.bin", std::string_view(reinterpret_cast<const char*>(values), sizeof values));
  const graph::Model model = io::load_model(folder / "m.onnx");
  EXPECT_EQ(model.tensor(model.graph().initializer(0)).data<float>()[2], 6);
}

// PaddlePaddle's exporter: an If branch declares a scalar where its Cast makes one element.
TEST(LoadTest, DeclarationsInsideThatOperatorsContradictGiveWay) {
  graph::Model model = test::graph_from_text(R"(g (float[3] x, bool c) => (float[] y) {
  y = If (c) <then_branch = t () => (float a) { a = Cast <to = 1> (x) }, else_branch = e () => (float[] b) { b = Neg (x) }>
})");
  io::infer_shapes(model);
  const graph::GraphIndex index(model.graph());
  EXPECT_EQ(index.type("y").shape, (Shape{3}));
}

// As in onnxruntime, which says so in a warning.
TEST(LoadTest, DeclaredOutputsThatOperatorsContradictGiveWayAndOthersStay) {
  graph::Model model = test::graph_from_text(
      R"(g (float[3] x, float[n,m] z, int64[2] s) => (float[1,len] y, float[b,m] w, float[4,5] v) {
  y = Neg (x)  w = Neg (z)  v = Reshape (x, s)
})");
  io::infer_shapes(model);
  const graph::GraphIndex index(model.graph());
  EXPECT_EQ(index.type("y").shape, (Shape{3}));
  EXPECT_EQ(model.graph().output(1).type().tensor_type().shape().dim(0).dim_param(), "b");
  EXPECT_EQ(index.type("v").shape, (Shape{4, 5})) << "nothing else is known of it";
}

TEST(LoadTest, InputsThatOperatorsCanNotTakeAreRefused) {
  graph::Model model = test::graph_from_text(R"(g (float[3] x, float[4] y) => (float z) { z = Add (x, y) })");
  EXPECT_THROW(io::infer_shapes(model), Error);
}

}  // namespace
}  // namespace narrow
