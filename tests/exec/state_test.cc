// State that goes from sample to sample.
#include "lib/exec/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;

constexpr std::string_view kSum =
    "g (float[2] x, float[N] h) => (float[2] y, float[2] next) { next = Add (x, h)  y = Neg (x) }";

TEST(State, AnOutputFeedsTheNextSample) {
  const Program program = compile_float(test::graph_from_text(kSum, 17));
  State state(program, {{.input = "h", .output = "next"}});
  Workspace workspace;
  const Feed feed{{"x", floats({2}, {1, 10})}};
  // h begins as one zero, for its size is free.
  std::vector<Tensor> results = program.run(state.complete(feed), workspace);
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(1, 10));
  state.update(results);
  results = program.run(state.complete(feed), workspace);
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(2, 20));
}

TEST(State, RefusesNamesTheModelDoesNotHave) {
  const Program program = compile_float(test::graph_from_text(kSum, 17));
  EXPECT_THROW(State(program, {{.input = "g", .output = "next"}}), Error);
  EXPECT_THROW(State(program, {{.input = "h", .output = "nxt"}}), Error);
  EXPECT_TRUE(State(program, {}).empty());
}

}  // namespace
}  // namespace narrow::exec
