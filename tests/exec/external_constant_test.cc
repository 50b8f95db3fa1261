// Constant nodes whose value lies in a file beside the model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/exec/float_program.h"
#include "lib/graph/external_data.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"
#include "tests/support/temp_folder.h"

namespace narrow::exec {
namespace {

using testing::ElementsAre;

TEST(ExternalConstant, IsReadInTheGraphAndInBodies) {
  const test::TempFolder folder;
  onnx::ModelProto proto = test::graph_from_text(R"(g (float[2] x, bool c) => (float[2] y, float[2] z) {
  w = Constant <value = float[2] {0, 0}> ()
  y = Add (x, w)
  z = If (c) <then_branch = t () => (float[2] a) { v = Constant <value = float[2] {0, 0}> () a = Mul (x, v) },
              else_branch = e () => (float[2] b) { b = Neg (x) }>
})")
                               .proto();
  graph::for_each_tensor(*proto.mutable_graph(), [](onnx::TensorProto& tensor) {
    tensor.clear_float_data();
    tensor.clear_raw_data();
    graph::set_external(tensor, {.location = "weights.bin", .offset = 0, .length = 8});
  });
  const std::array<float, 2> values{4, 5};
  write_file(folder / "m.onnx", proto.SerializeAsString());
  write_file(folder / "weights.bin", std::string_view(reinterpret_cast<const char*>(values.data()), sizeof values));
  const Program program = compile_float(io::load_model(folder / "m.onnx"));
  Workspace workspace;
  const auto results =
      program.run({{"x", Tensor::of<float>({2}, {1, 2})}, {"c", Tensor::of<bool>({}, {true})}}, workspace);
  EXPECT_THAT(results[0].data<float>(), ElementsAre(5, 7));
  EXPECT_THAT(results[1].data<float>(), ElementsAre(4, 10));
}

}  // namespace
}  // namespace narrow::exec
