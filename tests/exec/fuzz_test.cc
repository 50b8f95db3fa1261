// Random graphs: the fast executor (fused, channels-last, oneDNN, constants packed) against the same graph in float64,
// where every node runs by itself on a plain kernel. NARROW_FUZZ_SEED and NARROW_FUZZ_COUNT set which graphs.
//
// What float32 can give depends on the graph: a clamp behind sums that cancel keeps their rounding errors and not their
// size. So a result that is off by more than usual is held against what happens when every value is off by its own
// rounding.
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

// The largest error as a share of the largest element, or of 1.
template <class T>
double error_of(const Tensor& actual, const Tensor& expected) {
  if (actual.shape() != expected.shape()) return INFINITY;
  const auto x = actual.data<T>();
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

// Usual errors; they contain those of oneDNN's polynomials.
constexpr double kUsual = 2e-5;
// A sum of n terms is rounded n times, its terms but twice in rounded_at_random(): of random terms that makes errors of
// some sqrt(n) / 3.5 of what they make there, six times as many for the longest sums of these graphs. 20,000 graphs had
// up to 3.4.
constexpr double kRoundings = 8;

/// What rounding alone may do to output i.
double allowed_error(const RandomGraph& wide, const std::vector<Tensor>& expected, size_t i) {
  double largest = 0;
  for (const uint32_t seed : {1U, 2U, 3U, 4U}) {
    const RandomGraph rounded = rounded_at_random(wide, seed);
    const Tensor result = run(rounded, node_by_node(rounded.model))[i];
    largest = std::max(largest, error_of<double>(result, expected[i]));
  }
  return kRoundings * largest;
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
    const std::vector<Tensor> expected = run(wide, node_by_node(wide.model));
    const std::vector<Tensor> actual = run(graph, {});
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ++compared;
      const double error = error_of<float>(actual[i], expected[i]);
      if (error <= kUsual) continue;
      EXPECT_LE(error, allowed_error(wide, expected, i))
          << "output '" << graph.model.graph().output(static_cast<int>(i)).name() << "' of\n"
          << graph::print(graph.model);
    }
  }
  EXPECT_GE(compared, count / 2);
}

}  // namespace
}  // namespace narrow::exec
