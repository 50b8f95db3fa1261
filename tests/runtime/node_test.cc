// ONNX's node tests of quantized operators on the integer runtime, as they are and with all inputs but the first
// constant. Where NARROW_ONNX_TESTS or NARROW_OLDER_ONNX_TESTS name the tests' folder.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "lib/io/load.h"
#include "lib/runtime/lower.h"
#include "tests/exec/onnx_case.h"
#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

// How many cases a set has is its own affair; that there are some is ours.
constexpr std::array kOperators{"ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger",
                                "QLinearConv", "QLinearMatMul",    "QuantizeLinear"};
// Those that compute products: on integers where their weights are known, and their scales float32.
constexpr std::array kProducts{"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"};

template <class Names>
bool has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

exec::Program lowered(const graph::Model& given, bool on_integers) {
  graph::Model model = given;
  io::infer_shapes(model);
  LoweredModel result = lower(model);
  for (const NodeCoverage& row : result.coverage.nodes) {
    EXPECT_TRUE(row.integer || !on_integers) << row.node << ": " << (row.reason ? row.reason->text() : "");
  }
  return std::move(result.program);
}

class NodeTests : public testing::TestWithParam<const char*> {};

TEST_P(NodeTests, QuantizedOperatorsPass) {
  const char* folder = std::getenv(GetParam());
  if (folder == nullptr || !std::filesystem::exists(folder)) GTEST_SKIP() << GetParam() << " names no folder";
  int cases = 0;
  for (const exec::OnnxCase& onnx_case : exec::find_onnx_cases(folder)) {
    const std::string name = exec::operator_of(onnx_case);
    if (!has(kOperators, name)) continue;
    SCOPED_TRACE(onnx_case.name);
    ++cases;
    for (const bool constants : {false, true}) {
      const bool on_integers = constants && has(kProducts, name) && !onnx_case.name.ends_with("float16");
      const exec::Verdict verdict = exec::run_onnx_case(
          onnx_case, {.compile = [&](const graph::Model& model) { return lowered(model, on_integers); },
                      .only_first_input = constants});
      EXPECT_EQ(verdict.outcome, exec::Outcome::kPassed) << verdict.detail << (constants ? " (constants)" : "");
    }
  }
  EXPECT_GE(cases, 10);
}

INSTANTIATE_TEST_SUITE_P(Onnx, NodeTests, testing::Values("NARROW_ONNX_TESTS", "NARROW_OLDER_ONNX_TESTS"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace narrow::runtime
