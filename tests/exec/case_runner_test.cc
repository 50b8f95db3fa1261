// Runs models for a comparison made elsewhere (tests/peers/operators_test.py): in each folder of NARROW_OPERATOR_CASES,
// model.onnx with input_N.pb, whose results become actual_N.pb.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "lib/exec/float_program.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

namespace fs = std::filesystem;

template <class Proto>
Proto read_proto(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  Proto proto;
  EXPECT_TRUE(proto.ParseFromIstream(&stream)) << path;
  return proto;
}

void run_folder(const fs::path& folder) {
  const graph::Model model(read_proto<onnx::ModelProto>(folder / "model.onnx"));
  Feed feed;
  for (int i = 0; i < model.graph().input_size(); ++i) {
    const auto proto = read_proto<onnx::TensorProto>(folder / fmt::format("input_{}.pb", i));
    feed[model.graph().input(i).name()] = graph::embedded_tensor(proto);
  }
  Workspace workspace;
  const std::vector<Tensor> results = compile_float(model).run(feed, workspace);
  for (size_t i = 0; i < results.size(); ++i) {
    std::ofstream stream(folder / fmt::format("actual_{}.pb", i), std::ios::binary);
    EXPECT_TRUE(graph::tensor_proto("", results[i]).SerializeToOstream(&stream));
  }
}

TEST(OperatorCases, Run) {
  const char* root = std::getenv("NARROW_OPERATOR_CASES");
  if (root == nullptr) GTEST_SKIP() << "NARROW_OPERATOR_CASES names no folder";
  int count = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!entry.is_directory()) continue;
    ++count;
    EXPECT_NO_THROW(run_folder(entry.path())) << entry.path().filename();
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace narrow::exec
