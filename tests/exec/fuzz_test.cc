// Random graphs: the fast executor (fused, channels-last, oneDNN, constants packed) against the same graph in float64,
// where every node runs by itself on a plain kernel. NARROW_FUZZ_SEED and NARROW_FUZZ_COUNT set which graphs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "lib/graph/print.h"
#include "tests/exec/random_graph.h"

namespace narrow::exec {
namespace {

uint32_t from_environment(const char* name, uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

std::vector<Tensor> run(const RandomGraph& graph, const CompileOptions& options) {
  Workspace workspace;
  return compile_float(graph.model, options).run(graph.feed, workspace);
}

// Every value observed: nothing is fused away.
CompileOptions unoptimized(const RandomGraph& graph) {
  CompileOptions options{.observed = {}, .fuse = false};
  for (const onnx::NodeProto& node : graph.model.graph().node()) {
    options.observed.insert(options.observed.end(), node.output().begin(), node.output().end());
  }
  return options;
}

// The largest error as a share of the largest element, or of 1.
double error_of(const Tensor& actual, const Tensor& expected) {
  if (actual.shape() != expected.shape()) return INFINITY;
  const auto x = actual.data<float>();
  const auto y = expected.data<double>();
  double worst = 0;
  double largest = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(static_cast<double>(x[i]) - y[i]);
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
    largest = std::max(largest, std::abs(y[i]));
  }
  return worst / largest;
}

TEST(Fuzz, FastKernelsAgreeWithPlainOnes) {
  const uint32_t first = from_environment("NARROW_FUZZ_SEED", 1);
  const uint32_t count = from_environment("NARROW_FUZZ_COUNT", 150);
  uint32_t compared = 0;
  for (uint32_t seed = first; seed < first + count; ++seed) {
    const RandomGraph graph = random_graph(seed);
    if (graph.model.graph().output_size() == 0) continue;
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomGraph wide = in_double(graph);
    const std::vector<Tensor> expected = run(wide, unoptimized(wide));
    const std::vector<Tensor> actual = run(graph, {});
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ++compared;
      const double error = error_of(actual[i], expected[i]);
      EXPECT_LE(error, 2e-5) << "output '" << graph.model.graph().output(static_cast<int>(i)).name() << "' of\n"
                             << graph::print(graph.model);
    }
  }
  EXPECT_GE(compared, count / 2);
}

}  // namespace
}  // namespace narrow::exec
