#include "lib/validate/latency.h"

#include <gtest/gtest.h>

namespace narrow::validate {
namespace {

StepTime step(std::vector<std::string> nodes, const std::string& op_type, const std::string& kernel, double seconds) {
  return {
      .info = {.node = nodes.back(), .fused = nodes, .op_type = op_type}, .implementation = kernel, .seconds = seconds};
}

void add_node(runtime::LoweredModel& lowered, const std::string& node, const std::string& op_type, int64_t macs,
              int64_t products = 0) {
  if (products > 0) {
    lowered.mac_counts.push_back(
        {.node = lowered.coverage.nodes.size(), .value = {}, .per_element = products, .inner = {}});
  }
  lowered.coverage.nodes.push_back(
      {.node = node, .op_type = op_type, .integer = true, .reason = std::nullopt, .macs = macs});
}

// Float: [conv, relu, add] in one step, [wide]; integer: [conv], [relu, add], [wide], and a conversion.
TEST(Latency, JoinsStepsThatShareNodesInEitherProgram) {
  runtime::LoweredModel lowered;
  add_node(lowered, "conv", "Conv", 900, 90);
  add_node(lowered, "relu", "Relu", 0);
  add_node(lowered, "add", "Add", 0);
  add_node(lowered, "wide", "Conv", 90, 9);
  const StepTimes times{
      .reference = {step({"conv", "relu", "add"}, "Conv", "f32", 0.009), step({"wide"}, "Conv", "f32 wide", 0.004)},
      .integer = {step({"x_q"}, "QuantizeLinear", "quantize", 0.001), step({"conv"}, "Conv", "u8s8", 0.002),
                  step({"relu", "add"}, "Add", "sum8", 0.001), step({"wide"}, "Conv", "u8s8 wide", 0.004)}};
  const std::vector<LayerLatency> layers = layer_latencies(times, lowered);
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_EQ(layers[0].node, "x_q");
  EXPECT_EQ(layers[0].reason->code, ReasonCode::kConversion);
  EXPECT_EQ(layers[1].node, "conv");
  EXPECT_EQ(layers[1].nodes, (std::vector<std::string>{"conv", "relu", "add"}));
  EXPECT_DOUBLE_EQ(layers[1].float_seconds, 0.009);
  EXPECT_DOUBLE_EQ(layers[1].integer_seconds, 0.003);
  EXPECT_DOUBLE_EQ(layers[1].ratio(), 3);
  EXPECT_EQ(layers[1].macs, 900);
  EXPECT_EQ(layers[1].implementation, "u8s8");
  EXPECT_EQ(layers[1].float_implementation, "f32");
  EXPECT_FALSE(layers[1].reason);
  EXPECT_EQ(layers[2].reason, (Reason{ReasonCode::kFewProducts, "9"}));
}

TEST(Latency, SaysWhyALayerIsNotFaster) {
  runtime::LoweredModel lowered;
  add_node(lowered, "float", "Gemm", 100, 100);
  lowered.coverage.nodes.back().integer = false;
  lowered.coverage.nodes.back().reason = Reason{ReasonCode::kKeptByRule, ""};
  add_node(lowered, "add", "Add", 0);
  add_node(lowered, "slow", "Conv", 900, 90);
  add_node(lowered, "short", "Conv", 900, 90);
  const std::vector<StepTime> steps = {step({"float"}, "Gemm", "a", 0.002), step({"add"}, "Add", "b", 0.002),
                                       step({"slow"}, "Conv", "c", 0.002), step({"short"}, "Conv", "d", 1e-6)};
  std::vector<ReasonCode> codes;
  for (const LayerLatency& layer : layer_latencies({.reference = steps, .integer = steps}, lowered)) {
    codes.push_back(layer.reason.value().code);
  }
  EXPECT_EQ(codes, (std::vector<ReasonCode>{ReasonCode::kKeptByRule, ReasonCode::kNoProducts, ReasonCode::kSlowKernel,
                                            ReasonCode::kShortStep}));
}

TEST(Latency, WhatOnlyTheFloatModelComputesStandsLast) {
  runtime::LoweredModel lowered;
  add_node(lowered, "fc", "Gemm", 9, 3);
  const std::vector<LayerLatency> layers =
      layer_latencies({.reference = {step({"norm"}, "Mul", "a", 0.001), step({"fc"}, "Gemm", "b", 0.001)},
                       .integer = {step({"fc"}, "Gemm", "c", 0.0005)}},
                      lowered);
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[1].node, "norm");
  EXPECT_EQ(layers[1].integer_seconds, 0);
  EXPECT_EQ(layers[1].ratio(), HUGE_VAL);
  EXPECT_FALSE(layers[1].reason);
}

}  // namespace
}  // namespace narrow::validate
