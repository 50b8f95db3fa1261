// Calls of a model's own functions compute what their bodies say.
#include "lib/graph/local_functions.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/exec/float_program.h"
#include "tests/support/model_text.h"

namespace narrow::exec {
namespace {

using testing::ElementsAre;

std::vector<float> results(std::string_view text) {
  graph::Model model = test::model_from_text(text);
  Workspace workspace;
  const Tensor y = compile_float(model).run({{"x", Tensor::of<float>({2}, {-1.0F, 2.0F})}}, workspace)[0];
  return {y.data<float>().begin(), y.data<float>().end()};
}

TEST(LocalFunctions, AnAttributeThatACallLeavesOutHasTheFunctionsDefault) {
  EXPECT_THAT(results(R"(<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
      g (float[2] x) => (float[2] y) { a = my.leak (x)  b = my.leak <slope = 0.25> (x)  y = Sub (a, b) }
      <opset_import: ["" : 21], domain: "my"> leak <slope: float = 0.75> (x) => (y) { y = LeakyRelu <alpha: float = @slope> (x) })"),
              ElementsAre(-0.5F, 0));
}

TEST(LocalFunctions, DefaultsReachCallsInFunctionsAndInBodies) {
  EXPECT_THAT(results(R"(<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
      g (float[2] x) => (float[2] y) {
        yes = Constant <value = bool {1}> ()
        y = If (yes) <then_branch = t () => (float[2] u) { u = my.twice (x) },
                      else_branch = e () => (float[2] v) { v = Identity (x) }> }
      <opset_import: ["" : 21, "my" : 1], domain: "my"> twice (x) => (y) { a = my.leak (x)  y = my.leak (a) }
      <opset_import: ["" : 21], domain: "my"> leak <slope: float = 0.5> (x) => (y) { y = LeakyRelu <alpha: float = @slope> (x) })"),
              ElementsAre(-0.25F, 2));
}

// An attribute that the call around leaves out is left out of the call inside, too: onnxruntime computes the same.
TEST(LocalFunctions, AnAttributeThatIsLeftOutOnTheWayHasTheInnerFunctionsDefault) {
  constexpr std::string_view kFunctions = R"(
      <opset_import: ["" : 21, "my" : 1], domain: "my"> outer <sl> (x) => (y) {
        a = my.middle <slope: float = @sl> (x)
        b = LeakyRelu <alpha: float = @sl> (x)
        y = Concat <axis = 0> (a, b) }
      <opset_import: ["" : 21, "my" : 1], domain: "my"> middle <slope> (x) => (y) {
        yes = Constant <value = bool {1}> ()
        y = If (yes) <then_branch = t () => (u) { u = my.leak <slope: float = @slope> (x) },
                      else_branch = e () => (v) { v = Identity (x) }> }
      <opset_import: ["" : 21], domain: "my"> leak <slope: float = 0.5> (x) => (y) { y = LeakyRelu <alpha: float = @slope> (x) })";
  constexpr std::string_view kHeader =
      R"(<ir_version: 10, opset_import: ["" : 21, "my" : 1]> g (float[2] x) => (float[4] y))";
  EXPECT_THAT(results(fmt::format("{} {{ y = my.outer (x) }} {}", kHeader, kFunctions)),
              ElementsAre(-0.5F, 2, -0.01F, 2));
  EXPECT_THAT(results(fmt::format("{} {{ y = my.outer <sl = 0.25> (x) }} {}", kHeader, kFunctions)),
              ElementsAre(-0.25F, 2, -0.25F, 2));
  EXPECT_THAT(results(fmt::format("{} {{ a = my.outer (x)  b = my.outer <sl = 0.25> (x)  y = Sub (a, b) }} {}", kHeader,
                                  kFunctions)),
              ElementsAre(-0.25F, 0, 0.24F, 0));
}

}  // namespace
}  // namespace narrow::exec
