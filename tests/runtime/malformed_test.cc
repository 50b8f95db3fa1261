// Quantized files whose parameters can not be: each is refused with the node's name.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/runtime/lower.h"
#include "tests/support/model_text.h"

namespace narrow::runtime {
namespace {

using testing::AllOf;
using testing::HasSubstr;

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

}  // namespace narrow::runtime
