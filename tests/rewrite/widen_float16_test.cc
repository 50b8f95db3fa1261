// Float16 models on the way to quantization.
#include "lib/rewrite/widen_float16.h"

#include <gtest/gtest.h>

#include <utility>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/rewrite/normalize.h"
#include "lib/tensor/convert.h"
#include "tests/support/model_text.h"
#include "tests/support/random_tensor.h"
#include "tests/support/temp_folder.h"

namespace narrow::rewrite {
namespace {

constexpr std::string_view kHalfModel = R"(agraph (float16[1,2] x) => (float16[1,2] y, float16[1,2] z)
<float16[2,2] w = {15360, 0, 0, 16384}>
{
  y = MatMul (x, w)
  s = Cast <to = 1> (y)
  h = Cast <to = 10> (s)
  z = Relu (h)
})";

std::vector<Tensor> run(const graph::Model& model) {
  Workspace workspace;
  const Tensor x = convert_elements(Tensor::of<float>({1, 2}, {-1.5F, 3}), DataType::kFloat16, workspace);
  std::vector<Tensor> results = exec::compile_float(model).run({{"x", x}}, workspace);
  return results;
}

TEST(WidenFloat16, ComputesInFloat32BetweenFloat16InputsAndOutputs) {
  const graph::Model loaded = io::check_model(test::graph_from_text(kHalfModel, 13).proto());
  graph::Model model = prepare(loaded);
  io::infer_shapes(model);
  const graph::GraphIndex index(model.graph());
  EXPECT_EQ(index.type("w").type, DataType::kFloat32);
  EXPECT_EQ(index.type("x").type, DataType::kFloat16);
  for (const onnx::NodeProto& node : model.graph().node()) {
    EXPECT_TRUE(node.op_type() != "MatMul" || index.type(node.input(0)).type == DataType::kFloat32);
  }
  const std::vector<Tensor> before = run(loaded);
  const std::vector<Tensor> after = run(model);
  ASSERT_EQ(after.size(), 2U);
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].type(), DataType::kFloat16);
    const Tensor a = to_float32(before[i]);
    const Tensor b = to_float32(after[i]);
    EXPECT_TRUE(std::equal(a.data<float>().begin(), a.data<float>().end(), b.data<float>().begin()));
  }
  EXPECT_EQ(to_float32(after[0]).data<float>()[1], 6);
  EXPECT_EQ(to_float32(after[1]).data<float>()[0], 0);
}

// Weights in files are not copied into memory: each reader widens them, the writer among them.
TEST(WidenFloat16, WeightsInFilesStayThere) {
  graph::Model half = test::graph_from_text("g (float16[1,64] x) => (float16[1,64] y) { y = MatMul (x, w) }", 17);
  Workspace workspace;
  const Tensor weight = test::uniform({64, 64}, 5);
  const Tensor stored = convert_elements(weight, DataType::kFloat16, workspace);
  *half.mutable_graph().add_initializer() = graph::tensor_proto("w", stored);
  const test::TempFolder folder;
  io::save_model(half, folder / "half.onnx", {.largest_file = 100});
  graph::Model model = prepare(io::load_model(folder / "half.onnx"));
  const onnx::TensorProto& initializer = model.graph().initializer(0);
  EXPECT_EQ(initializer.data_type(), onnx::TensorProto::FLOAT);
  EXPECT_EQ(initializer.data_location(), onnx::TensorProto::EXTERNAL);
  io::save_model(model, folder / "wide.onnx");
  const graph::Model wide = io::load_model(folder / "wide.onnx");
  const Tensor wanted = to_float32(stored);
  for (const graph::Model* each : {&std::as_const(model), &wide}) {
    const Tensor read = each->tensor(each->graph().initializer(0));
    ASSERT_EQ(read.type(), DataType::kFloat32);
    EXPECT_TRUE(std::equal(wanted.data<float>().begin(), wanted.data<float>().end(), read.data<float>().begin()));
  }
}

}  // namespace
}  // namespace narrow::rewrite
