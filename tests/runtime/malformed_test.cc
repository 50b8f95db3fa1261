// Quantized files whose parameters can not be: each is refused with the node's name.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/runtime/lower.h"
#include "tests/support/model_text.h"

namespace narrow::runtime {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// What is said of a model as it is lowered or run on a uint8 input x, in float or on integers; a bad model, whatever
// is.
std::string refusal_as_run(const graph::Model& model, const Shape& shape, bool integers) {
  Tensor x(DataType::kUint8, shape);
  for (uint8_t& value : x.mutable_data<uint8_t>()) value = 7;
  Workspace workspace;
  try {
    const exec::Program program = integers ? lower(model).program : exec::compile_float(model);
    program.run({{"x", x}}, workspace);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel);
    return error.what();
  }
  return "accepted";
}

// Each runtime names the node 'product' and says `what`.
void expect_refused(std::string_view graph, const Shape& shape, std::string_view what) {
  for (const bool integers : {false, true}) {
    EXPECT_THAT(refusal_as_run(test::graph_from_text(graph), shape, integers),
                AllOf(HasSubstr("'product'"), HasSubstr(std::string(what))))
        << (integers ? "on integers: " : "in float: ") << graph;
  }
}

// The message of lower() for a DequantizeLinear of weights with these initializers and attributes.
std::string refusal(std::string_view initializers, std::string_view attributes = "") {
  const graph::Model model = test::graph_from_text(fmt::format(R"(agraph (float[1,2] x) => (float[1,3] y)
<int8[2,3] w_q = {{1, 2, 3, 4, 5, 6}}, {}>
{{
  [weights] w = DequantizeLinear{}(w_q, s, z)
  y = MatMul(x, w)
}})",
                                                               initializers, attributes));
  try {
    lower(model);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST(Malformed, SoundParametersAreAccepted) {
  EXPECT_EQ(refusal("float[3] s = {1, 2, 3}, int8[3] z = {0, 0, 0}", "<axis = -1>"), "accepted");
}

TEST(Malformed, AxisOutsideTheRank) {
  EXPECT_THAT(refusal("float[3] s = {1, 2, 3}, int8[3] z = {0, 0, 0}", "<axis = 2>"),
              AllOf(HasSubstr("'weights'"), HasSubstr("axis 2")));
}

TEST(Malformed, ScalesOfTheWrongLength) {
  EXPECT_THAT(refusal("float[2] s = {1, 2}, int8[2] z = {0, 0}", "<axis = 1>"),
              AllOf(HasSubstr("'weights'"), HasSubstr("2 scales for an axis of 3")));
  EXPECT_THAT(refusal("float[3] s = {1, 2, 3}, int8[2] z = {0, 0}", "<axis = 1>"),
              HasSubstr("2 zero points for 3 scales"));
}

TEST(Malformed, ScalesThatAreNoPositiveNumbers) {
  for (const std::string_view scale : {"0.0", "-1.0"}) {
    EXPECT_THAT(refusal(fmt::format("float s = {{{}}}, int8 z = {{0}}", scale)),
                AllOf(HasSubstr("'weights'"), HasSubstr("is not a positive number")));
  }
}

TEST(Malformed, ZeroPointOfAnotherType) {
  EXPECT_THAT(refusal("float s = {1}, uint8 z = {0}"), AllOf(HasSubstr("'weights'"), HasSubstr("uint8")));
}

TEST(Malformed, ProductsOfScalesWithoutElements) {
  expect_refused(R"(agraph (uint8[2,2] x) => (uint8[2,3] y)
<uint8[2,3] w = {1, 2, 3, 4, 5, 6}, float s = {0.5}, uint8 z = {3}, float[0] none = {}>
{ [product] y = QLinearMatMul(x, s, z, w, none, z, s, z) })",
                 {2, 2}, "scales of shape [0] for 3 channels");
  expect_refused(R"(agraph (uint8[1,2,1,1] x) => (uint8[1,3,1,1] y)
<uint8[3,2,1,1] w = {1, 2, 3, 4, 5, 6}, float s = {0.5}, uint8 z = {3}, float[0] none = {}>
{ [product] y = QLinearConv(x, s, z, w, none, z, s, z) })",
                 {1, 2, 1, 1}, "scales of shape [0] for 3 channels");
}

TEST(Malformed, BiasOfAnotherLength) {
  expect_refused(R"(agraph (uint8[1,2,1,1] x) => (uint8[1,3,1,1] y)
<uint8[3,2,1,1] w = {1, 2, 3, 4, 5, 6}, float s = {0.5}, uint8 z = {3}, int32[2] b = {1, 2}>
{ [product] y = QLinearConv(x, s, z, w, s, z, s, z, b) })",
                 {1, 2, 1, 1}, "bias of shape [2] for 3 channels");
}

TEST(Malformed, ZeroPointsWithoutElements) {
  for (const std::string_view points : {"z, none", "none, z"}) {
    expect_refused(fmt::format(R"(agraph (uint8[1,2,1,1] x) => (int32[1,3,1,1] y)
<uint8[3,2,1,1] w = {{1, 2, 3, 4, 5, 6}}, uint8 z = {{3}}, uint8[0] none = {{}}>
{{ [product] y = ConvInteger(x, w, {}) }})",
                               points),
                   {1, 2, 1, 1}, "zero point");
  }
}

TEST(Malformed, ConvolutionsWhoseChannelsAreInNoGroups) {
  for (const int groups : {0, -1}) {
    expect_refused(fmt::format(R"(agraph (uint8[1,2,1,1] x) => (int32[1,3,1,1] y)
<uint8[3,2,1,1] w = {{1, 2, 3, 4, 5, 6}}, uint8 z = {{3}}>
{{ [product] y = ConvInteger<group = {}>(x, w, z) }})",
                               groups),
                   {1, 2, 1, 1}, fmt::format("channels in {} groups", groups));
    for (const std::string_view zero_point : {"0", "3"}) {
      expect_refused(fmt::format(R"(agraph (uint8[1,2,1,1] x) => (uint8[1,3,1,1] y)
<uint8[3,2,1,1] w = {{1, 2, 3, 4, 5, 6}}, float s = {{0.5}}, uint8 z = {{{}}}>
{{
  xr = DequantizeLinear(x, s, z)
  wr = DequantizeLinear(w, s, z)
  [product] r = Conv<group = {}>(xr, wr)
  y = QuantizeLinear(r, s, z)
}})",
                                 zero_point, groups),
                     {1, 2, 1, 1}, fmt::format("channels in {} groups", groups));
    }
  }
}

TEST(Malformed, FiltersThatGroupsDoNotDivide) {
  expect_refused(R"(agraph (uint8[1,2,1,1] x) => (int32[1,3,1,1] y)
<uint8[3,1,1,1] w = {1, 2, 3}, uint8 z = {3}>
{ [product] y = ConvInteger<group = 2>(x, w, z) })",
                 {1, 2, 1, 1}, "2 groups");
}

// Valid, if useless: the result has no elements.
TEST(Malformed, ConvolutionsWithoutFiltersAreAccepted) {
  const std::string graph = R"(agraph (uint8[1,2,2,2] x) => (int32[1,0,2,2] y)
<uint8[0,2,1,1] w = {}, uint8 z = {3}>
{ [product] y = ConvInteger(x, w, z, z) })";
  for (const bool integers : {false, true}) {
    EXPECT_EQ(refusal_as_run(test::graph_from_text(graph), {1, 2, 2, 2}, integers), "accepted");
  }
}

}  // namespace narrow::runtime
