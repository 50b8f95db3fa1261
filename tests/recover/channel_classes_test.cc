#include "lib/recover/channel_classes.h"

#include <gtest/gtest.h>

#include "tests/support/shaped_model.h"

namespace narrow::recover {
namespace {

TEST(ChannelClasses, ReluAndPoolKeepAChannelTogether) {
  const graph::Model model = test::shaped_graph(R"(g (float[1,2,4,4] x) => (float[1,2,2,2] y)
    <float[2,2,1,1] v = {1,2,3,4}, float[2,2,1,1] w = {1,2,3,4}> {
      a = Conv (x, v)
      b = Relu (a)
      c = MaxPool <kernel_shape: ints = [2, 2], strides: ints = [2, 2]> (b)
      y = Conv (c, w) })");
  const ChannelClasses classes(model);
  EXPECT_EQ(classes.values(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(classes.class_of("a", 1), classes.class_of("c", 1));
  EXPECT_NE(classes.class_of("a", 0), classes.class_of("a", 1));
  EXPECT_EQ(classes.class_of("x", 0), -1);  // a model input has no weights in front
  EXPECT_EQ(classes.class_of("y", 0), -1);
}

TEST(ChannelClasses, ConcatMapsChannels) {
  const graph::Model model = test::shaped_graph(R"(g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[1,1,1,1] u = {1}, float[2,1,1,1] v = {1,2}, float[1,3,1,1] w = {1,2,3}> {
      a = Conv (x, u)
      b = Conv (x, v)
      c = Concat <axis: int = 1> (a, b)
      y = Conv (c, w) })");
  const ChannelClasses classes(model);
  EXPECT_EQ(classes.class_of("c", 0), classes.class_of("a", 0));
  EXPECT_EQ(classes.class_of("c", 2), classes.class_of("b", 1));
}

TEST(ChannelClasses, WhatIsNotHomogeneousPins) {
  const graph::Model model = test::shaped_graph(R"(g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[1,1,1,1] v = {1}, float[1,1,1,1] w = {1}> {
      a = Conv (x, v)
      b = Sigmoid (a)
      y = Conv (b, w) })");
  const ChannelClasses classes(model);
  EXPECT_TRUE(classes.values().empty());
}

TEST(ChannelClasses, AResidualToAModelInputPins) {
  const graph::Model model = test::shaped_graph(R"(g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[1,1,1,1] v = {1}, float[1,1,1,1] w = {1}> {
      a = Conv (x, v)
      b = Add (a, x)
      y = Conv (b, w) })");
  EXPECT_TRUE(ChannelClasses(model).values().empty());
}

TEST(ChannelClasses, AWeightThatTwoNodesShareTakesNoFactors) {
  const graph::Model model = test::shaped_graph(R"(g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[1,1,1,1] v = {1}> {
      a = Conv (x, v)
      y = Conv (a, v) })");
  EXPECT_TRUE(ChannelClasses(model).values().empty());
}

}  // namespace
}  // namespace narrow::recover
