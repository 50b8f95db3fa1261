#include "lib/runtime/signed_weights.h"

#include <gtest/gtest.h>

namespace narrow::runtime {
namespace {

std::vector<int> codes_of(const SignedWeights& weights) {
  const auto codes = weights.integers.data<int8_t>();
  return {codes.begin(), codes.end()};
}

TEST(SignedWeights, CenteredInt8StaysWhereItIs) {
  const Tensor weights = Tensor::of<int8_t>({2, 2}, {1, -128, 127, 0});
  const SignedWeights own = sign_weights(weights, {0, 0}, 1);
  EXPECT_EQ(own.integers.bytes(), weights.bytes());
  EXPECT_EQ(own.zero_points, (std::vector<int32_t>{0, 0}));
}

TEST(SignedWeights, ZeroPointsAreTakenOutWhereDifferencesFit) {
  const Tensor weights = Tensor::of<uint8_t>({2, 3}, {128, 130, 10, 255, 2, 0});
  const SignedWeights columns = sign_weights(weights, {130, 4, 10}, 1);
  EXPECT_EQ(codes_of(columns), (std::vector<int>{-2, 126, 0, 125, -2, -10}));
  EXPECT_EQ(columns.zero_points, (std::vector<int32_t>{0, 0, 0}));
  const SignedWeights rows = sign_weights(weights, {100, 128}, 0);
  EXPECT_EQ(codes_of(rows), (std::vector<int>{28, 30, -90, 127, -126, -128}));
}

TEST(SignedWeights, OrStayWhereTheyDoNot) {
  const Tensor weights = Tensor::of<uint8_t>({2, 2, 2}, {0, 255, 1, 2, 3, 4, 5, 6});
  const SignedWeights whole = sign_weights(weights, {3}, std::nullopt);
  EXPECT_EQ(codes_of(whole), (std::vector<int>{-128, 127, -127, -126, -125, -124, -123, -122}));
  EXPECT_EQ(whole.zero_points, (std::vector<int32_t>{3 - 128}));
  const Tensor narrow_range = Tensor::of<int8_t>({1, 2, 2}, {-128, 0, 100, 127});
  const SignedWeights middle = sign_weights(narrow_range, {0, 1}, 1);
  EXPECT_EQ(codes_of(middle), (std::vector<int>{-128, 0, 99, 126}));
  EXPECT_EQ(middle.zero_points, (std::vector<int32_t>{0, 0}));
}

}  // namespace
}  // namespace narrow::runtime
