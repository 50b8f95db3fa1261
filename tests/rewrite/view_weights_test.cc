// Weights in files that are transposed stay there.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/rewrite/normalize.h"
#include "tests/support/model_text.h"
#include "tests/support/random_tensor.h"
#include "tests/support/temp_folder.h"

namespace narrow::rewrite {
namespace {

/// `text` with a weight w [700, 600] and a shape s = [600, 7, 100], as a file has it and as it is read back.
graph::Model loaded(const test::TempFolder& folder, const std::string& text) {
  graph::Model model = test::graph_from_text(text, 17);
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", test::uniform({700, 600}, 5));
  *model.mutable_graph().add_initializer() = graph::tensor_proto("s", Tensor::of<int64_t>({3}, {600, 7, 100}));
  io::save_model(model, folder / "m.onnx", {.largest_file = 100});
  graph::Model prepared = prepare(io::load_model(folder / "m.onnx"));
  io::infer_shapes(prepared);
  return prepared;
}

Tensor run(const graph::Model& model, const Shape& shape) {
  Workspace workspace;
  return exec::compile_float(model).run({{"x", test::uniform(shape, 3)}}, workspace).at(0);
}

void expect_equal(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  EXPECT_TRUE(std::equal(a.data<float>().begin(), a.data<float>().end(), b.data<float>().begin()));
}

TEST(ViewWeights, TransposedWeightsStayInTheFile) {
  const test::TempFolder folder;
  const graph::Model before =
      loaded(folder, "g (float[2,600] x) => (float[2,700] y) { t = Transpose <perm = [1, 0]> (w) y = MatMul (x, t) }");
  const graph::Model after = view_weights(before);
  ASSERT_EQ(after.graph().node_size(), 1);
  const graph::GraphIndex index(after.graph());
  const onnx::TensorProto* view = index.initializer("t");
  ASSERT_NE(view, nullptr);
  EXPECT_EQ(index.initializer("w"), nullptr);
  EXPECT_EQ(view->data_location(), onnx::TensorProto::EXTERNAL);
  EXPECT_EQ(view->raw_data().size(), 0U);
  EXPECT_TRUE(exec::fold_constants(after).empty());
  expect_equal(run(before, {2, 600}), run(after, {2, 600}));
  const Tensor weight = test::uniform({700, 600}, 5);
  const Tensor turned = after.tensor(*view);
  for (size_t i = 0; i < 600; ++i) {
    for (size_t j = 0; j < 700; j += 99) {
      ASSERT_EQ(turned.data<float>()[i * 700 + j], weight.data<float>()[j * 600 + i]);
    }
  }
}

// What a saved model holds is what is read.
TEST(ViewWeights, WritersWriteWhatIsRead) {
  const test::TempFolder folder;
  const graph::Model before = loaded(folder, R"(g (float[1,7,100] x) => (float[600,7,100] y) {
    t = Transpose (w) r = Reshape (t, s) y = Mul (x, r)
  })");
  graph::Model after = view_weights(before);
  EXPECT_EQ(after.graph().node_size(), 1);
  io::save_model(after, folder / "after.onnx");
  const graph::Model read = io::load_model(folder / "after.onnx");
  for (const auto& entry : read.graph().initializer(0).external_data()) EXPECT_NE(entry.key(), "narrow_swap");
  expect_equal(run(before, {1, 7, 100}), run(after, {1, 7, 100}));
  expect_equal(run(before, {1, 7, 100}), run(read, {1, 7, 100}));
}

// Both are read: Gather's rows from where they lie.
TEST(ViewWeights, TiedWeightsAreReadTwice) {
  const test::TempFolder folder;
  const graph::Model before = loaded(folder, R"(g (float[2,600] x) => (float[2,700] y, float[700,600] z) {
    t = Transpose (w) y = MatMul (x, t) z = Relu (w)
  })");
  const graph::Model after = view_weights(before);
  EXPECT_EQ(after.graph().node_size(), 2);
  EXPECT_NE(graph::GraphIndex(after.graph()).initializer("w"), nullptr);
  expect_equal(run(before, {2, 600}), run(after, {2, 600}));
}

}  // namespace
}  // namespace narrow::rewrite
