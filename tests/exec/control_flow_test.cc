#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string error_of(std::string_view graph, const Feed& feed) {
  try {
    run_text(graph, feed);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

constexpr std::string_view kIf = R"(
g (float[2] x, bool c) => (float[2] y, float[2] z)
{
  t = Neg (x)
  y = If (c) <then_branch = a () => (float[2] ya) { ya = Add (t, t) },
              else_branch = b () => (float[2] yb) { yb = Mul (t, x) }>
  z = Add (t, x)
})";

TEST(If, RunsOneBranchOnCapturedValues) {
  const Tensor x = floats({2}, {1, 2});
  EXPECT_THAT(values_of<float>(run_text(kIf, {{"x", x}, {"c", Tensor::scalar(true)}})[0]), ElementsAre(-2, -4));
  const auto results = run_text(kIf, {{"x", x}, {"c", Tensor::scalar(false)}});
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(-1, -4));
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(0, 0)) << "a captured value lives on after the branch";
}

TEST(If, BranchMayReturnAnOuterValue) {
  const auto results = run_text(R"(
g (float[2] x, bool c) => (float[2] y)
{
  t = Neg (x)
  y = If (c) <then_branch = a () => (float[2] t) { }, else_branch = b () => (float[2] w) <float[2] w = {5, 6}> { }>
})",
                                {{"x", floats({2}, {1, 2})}, {"c", Tensor::scalar(true)}});
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(-1, -2));
}

TEST(If, OnlyTheTakenBranchOfAConstantConditionIsCompiled) {
  const auto results = run_text(R"(
g (float[2] x) => (float[2] y) <bool c = {1}>
{
  y = If (c) <then_branch = a () => (float[2] ya) { ya = Neg (x) },
              else_branch = b () => (float[2] yb) { yb = com.nowhere.Unknown (x) }>
})",
                                {{"x", floats({2}, {1, 2})}});
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(-1, -2));
}

TEST(If, OfConstantsFolds) {
  const Program program = compile_float(test::graph_from_text(R"(
g () => (float[2] y) <bool c = {1}, float[2] w = {1, 2}>
{
  y = If (c) <then_branch = a () => (float[2] ya) { ya = Neg (w) }, else_branch = b () => (float[2] yb) { yb = Abs (w) }>
})"));
  EXPECT_TRUE(program.steps().empty());
  Workspace workspace;
  EXPECT_THAT(values_of<float>(program.run({}, workspace)[0]), ElementsAre(-1, -2));
}

TEST(If, CapturedValueIsNotFusedAway) {
  const auto results = run_text(R"(
g (float[1,1,1,2] x, bool c) => (float[1,1,1,2] y, float[1,1,1,2] z) <float[1,1,1,1] w = {-3}>
{
  t = Conv (x, w)
  y = Relu (t)
  z = If (c) <then_branch = a () => (float[1,1,1,2] za) { za = Neg (t) },
              else_branch = b () => (float[1,1,1,2] zb) { zb = Relu (t) }>
})",
                                {{"x", floats({1, 1, 1, 2}, {1, -2})}, {"c", Tensor::scalar(true)}});
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(0, 6));
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(3, -6));
}

// sum += x, as long as sum[0] < limit; each sum is a row of the result.
constexpr std::string_view kLoop = R"(
g (int64 n, float[2] x, float limit) => (float[2] last, float[N,2] all) <float[2] zero = {0, 0}>
{
  last, all = Loop (n, , zero) <body = b (int64 i, bool go, float[2] sum) => (bool more, float[2] next, float[2] row)
  {
    next = Add (sum, x)
    largest = ReduceMax <keepdims = 0> (next)
    more = Less (largest, limit)
    row = Identity (next)
  }>
})";

Feed loop_feed(int64_t trips, float limit) {
  return {{"n", Tensor::scalar(trips)}, {"x", floats({2}, {1, 10})}, {"limit", Tensor::scalar(limit)}};
}

TEST(Loop, CarriesValuesAndStacksRows) {
  const auto results = run_text(kLoop, loop_feed(3, 1000));
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(3, 30));
  EXPECT_EQ(results[1].shape(), (Shape{3, 2}));
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(1, 10, 2, 20, 3, 30));
}

TEST(Loop, EndsWhenTheConditionFails) {
  const auto results = run_text(kLoop, loop_feed(100, 15));
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(2, 20));
  EXPECT_EQ(results[1].shape(), (Shape{2, 2}));
}

TEST(Loop, TheLargestTripCountIsNoLimit) {
  const auto results = run_text(kLoop, loop_feed(std::numeric_limits<int64_t>::max(), 15));
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(2, 20));
}

TEST(Loop, OfConstantsIsNotFolded) {
  // It never ends; so compiling it must not run it, wherever it is.
  const graph::Model model = test::graph_from_text(R"(
g (float[1] x) => (float[1] y, float[1] z) <bool c = {1}, float[1] one = {1}>
{
  [outer] y = Loop (, , one) <body = b (int64 i, bool go, float[1] sum) => (bool go, float[1] next)
    { next = Add (sum, one) }>
  [around] t = If (c) <then_branch = a () => (float[1] ya)
      { ya = Loop (, , one) <body = b2 (int64 i, bool go, float[1] sum) => (bool go, float[1] next)
        { next = Add (sum, one) }> },
    else_branch = e () => (float[1] one) { }>
  z = Add (x, t)
})");
  EXPECT_TRUE(fold_constants(model).empty());
  EXPECT_EQ(compile_float(model).steps().size(), 3);
}

TEST(Loop, NoTripLeavesTheValuesAndEmptyRowsOfTheDeclaredType) {
  const auto results = run_text(kLoop, loop_feed(0, 1000));
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(0, 0));
  EXPECT_EQ(results[1].type(), DataType::kFloat32);
  EXPECT_EQ(results[1].shape(), (Shape{0, 2}));
}

TEST(Loop, TellsWhereItFails) {
  const std::string_view graph = R"(
g (int64 n, float[A] x, float[B] y) => (float[C] last)
{
  last = Loop (n, , x) <body = b (int64 i, bool go, float[A] sum) => (bool go, float[C] next) { next = Add (sum, y) }>
})";
  const Feed feed{{"n", Tensor::scalar<int64_t>(1)}, {"x", floats({2}, {1, 2})}, {"y", floats({3}, {1, 2, 3})}};
  EXPECT_EQ(error_of(graph, feed), "node 'last' (Loop): node 'next' (Add): shapes [2] and [3] do not broadcast");
}

TEST(Loop, BodiesCaptureThroughBodies) {
  const auto results =
      run_text(R"(
g (int64 n, float[1] x, bool c) => (float[1] y)
{
  y = Loop (n, , x) <body = b (int64 i, bool go, float[1] v) => (bool go, float[1] w)
  {
    w = If (c) <then_branch = p () => (float[1] wa) { wa = Add (v, x) }, else_branch = q () => (float[1] wb) { wb = Neg (v) }>
  }>
})",
               {{"n", Tensor::scalar<int64_t>(3)}, {"x", floats({1}, {2})}, {"c", Tensor::scalar(true)}});
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(8));
}

class Recorder final : public TensorListener {
 public:
  void on_value(const std::string& value, const Tensor& /*tensor*/) override { seen.push_back(value); }
  std::vector<std::string> seen;
};

TEST(Loop, ListenersHearOfValuesInside) {
  const graph::Model model = test::graph_from_text(kLoop);
  const Program program = compile_float(model);
  EXPECT_EQ(program.steps().size(), 1U);
  EXPECT_EQ(program.steps()[0].node, "last");
  Recorder recorder;
  Workspace workspace;
  program.run(loop_feed(2, 1000), workspace, {.listener = &recorder});
  EXPECT_EQ(std::count(recorder.seen.begin(), recorder.seen.end(), "next"), 2);
  EXPECT_THAT(recorder.seen, Contains("all"));
}

TEST(Loop, ObservedValueOfABodyIsNotFusedAway) {
  const graph::Model model = test::graph_from_text(R"(
g (float[1,1,1,2] x, bool c) => (float[1,1,1,2] y) <float[1,1,1,1] w = {-3}>
{
  y = If (c) <then_branch = a () => (float[1,1,1,2] ya) { t = Conv (x, w)  ya = Relu (t) },
              else_branch = b () => (float[1,1,1,2] yb) { yb = Relu (x) }>
})");
  const Feed feed{{"x", floats({1, 1, 1, 2}, {1, -2})}, {"c", Tensor::scalar(true)}};
  Workspace workspace;
  Recorder fused;
  compile_float(model).run(feed, workspace, {.listener = &fused});
  EXPECT_EQ(std::count(fused.seen.begin(), fused.seen.end(), "t"), 0);
  Recorder observed;
  compile_float(model, {.observed = {"t"}}).run(feed, workspace, {.listener = &observed});
  EXPECT_EQ(std::count(observed.seen.begin(), observed.seen.end(), "t"), 1);
}

TEST(Scan, WalksAlongAnAxisInEitherDirection) {
  const auto results = run_text(R"(
g (float[2] start, float[2,3] x) => (float[2] last, float[2,3] sums)
{
  last, sums = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1], scan_output_axes = [1],
                     body = b (float[2] sum, float[2] column) => (float[2] next, float[2] row)
  {
    next = Add (sum, column)
    row = Identity (next)
  }> (start, x)
})",
                                {{"start", floats({2}, {0, 100})}, {"x", floats({2, 3}, {1, 2, 3, 4, 5, 6})}});
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(6, 115));
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(3, 5, 6, 106, 111, 115));
}

TEST(Scan, RefusesALengthBeyondTheSequence) {
  constexpr std::string_view kBatch = R"(
g (int64[1] n, float[1,1] start, float[1,2,1] x) => (float[1,1] last, float[1,2,1] sums)
{
  last, sums = Scan <num_scan_inputs = 1, body = b (float[1] sum, float[1] item) => (float[1] next, float[1] row)
  {
    next = Add (sum, item)
    row = Identity (next)
  }> (n, start, x)
})";
  const auto run = [&](int64_t steps) {
    const Feed feed{
        {"n", Tensor::of<int64_t>({1}, {steps})}, {"start", floats({1, 1}, {0})}, {"x", floats({1, 2, 1}, {1, 2})}};
    return values_of<float>(run_text(kBatch, feed, /*opset=*/8)[1]);
  };
  EXPECT_THAT(run(1), ElementsAre(1, 0));
  EXPECT_THROW(run(3), Error);
  EXPECT_THROW(run(-1), Error);
}

TEST(Sequence, IsBuiltInALoopAndJoined) {
  const auto results = run_text(R"(
g (int64 n, float[1] x) => (float[N] y, int64 length)
{
  empty = SequenceEmpty ()
  all = Loop (n, , empty) <body = b (int64 i, bool go, seq(float[1]) before) => (bool go, seq(float[1]) after)
  {
    factor = Cast <to = 1> (i)
    element = Mul (x, factor)
    after = SequenceInsert (before, element)
  }>
  length = SequenceLength (all)
  y = ConcatFromSequence <axis = 0> (all)
})",
                                {{"n", Tensor::scalar<int64_t>(4)}, {"x", floats({1}, {10})}});
  EXPECT_THAT(values_of<float>(results[0]), ElementsAre(0, 10, 20, 30));
  EXPECT_THAT(values_of<int64_t>(results[1]), ElementsAre(4));
}

TEST(Sequence, IsInputAndOutput) {
  const std::string_view graph = R"(
g (seq(float[N]) s, float[N] x) => (seq(float[N]) t) <int64 place = {-1}>
{
  longer = SequenceInsert (s, x, place)
  t = SequenceErase (longer, zero)
})";
  const std::string with_zero = std::string(graph).replace(graph.find("int64 place"), 0, "int64 zero = {0}, ");
  const Tensor sequence = Tensor::of_sequence({floats({1}, {1}), floats({2}, {2, 3})});
  const auto results = run_text(with_zero, {{"s", sequence}, {"x", floats({1}, {7})}});
  ASSERT_EQ(results[0].size(), 2);
  EXPECT_THAT(values_of<float>(results[0].sequence()[0]), ElementsAre(7));
  EXPECT_THAT(values_of<float>(results[0].sequence()[1]), ElementsAre(2, 3));
  EXPECT_EQ(sequence.size(), 2) << "the caller's own stays as it is";
  EXPECT_THAT(error_of(with_zero, {{"s", floats({1}, {1})}, {"x", floats({1}, {7})}}), HasSubstr("expected sequence"));
}

TEST(Sequence, RefusesAPositionOutside) {
  EXPECT_EQ(error_of("g (seq(float[N]) s) => (float[N] y) <int64 place = {2}> { y = SequenceAt (s, place) }",
                     {{"s", Tensor::of_sequence({floats({1}, {1}), floats({1}, {2})})}}),
            "node 'y' (SequenceAt): position 2 is outside of [-2, 1]");
}

constexpr std::string_view kOptional = R"(
g (optional(float[2]) x) => (bool full, float[2] y) <float[2] w = {5, 6}>
{
  full = OptionalHasElement (x)
  y = If (full) <then_branch = a () => (float[2] ya) { ya = OptionalGetElement (x) },
                 else_branch = b () => (float[2] yb) { yb = Identity (w) }>
})";

TEST(Optional, IsItsValueOrEmpty) {
  const auto full = run_text(kOptional, {{"x", floats({2}, {1, 2})}}, 18);
  EXPECT_TRUE(full[0].data<bool>()[0]);
  EXPECT_THAT(values_of<float>(full[1]), ElementsAre(1, 2));
  const auto empty = run_text(kOptional, {{"x", Tensor::empty_optional()}}, 18);
  EXPECT_FALSE(empty[0].data<bool>()[0]);
  EXPECT_THAT(values_of<float>(empty[1]), ElementsAre(5, 6));
}

}  // namespace
}  // namespace narrow::exec
