#include "tests/report/sample_report.h"

#include <cmath>

namespace narrow::test {
namespace {

plan::PrecisionPlan sample_plan() {
  plan::PrecisionPlan plan;
  plan.layers.resize(3);
  plan.layers[0].node = "conv_1";
  plan.layers[0].op_type = "Conv";
  plan.layers[0].decision = plan::Decision::kQuantize;
  plan.layers[0].rule = "defaults";
  plan.layers[0].weight = plan::WeightPlan{.input = 1, .initializer = "w", .params = {}, .enlarged_channels = 2};
  plan.layers[1].node = "relu_1";
  plan.layers[1].op_type = "Relu";
  plan.layers[1].decision = plan::Decision::kFold;
  plan.layers[1].rule = "structure";
  plan.layers[2].node = "head<1>";
  plan.layers[2].op_type = "Gemm";
  plan.layers[2].rule = "rules[0] (op Gemm)";
  plan.layers[2].reason = Reason{ReasonCode::kKeptByRule, "loses too much"};
  return plan;
}

validate::Validation sample_validation() {
  validate::Validation validation;
  validation.samples = 400;
  validation.outputs.push_back({.name = "logits",
                                .metrics = {.sqnr_db = 28.125, .cosine = 0.99923, .max_abs_error = 0.4125},
                                .agreement = 0.9875,
                                .accuracy = validate::Accuracy{0.95, 0.945, 1, 0.9975}});
  validation.outputs.push_back({.name = "aux|2",
                                .metrics = {.sqnr_db = HUGE_VAL, .cosine = 1, .max_abs_error = 0},
                                .agreement = std::nullopt,
                                .accuracy = std::nullopt});
  validation.layers.push_back({"conv_out", "conv_1", "Conv", {31.5, 0.9997, 0.02}});
  validation.layers.push_back({"image", "", "", {45.25, 1, 0.001}});
  validation.layer_samples = 16;
  validation.coverage.nodes.push_back(
      {.node = "conv_1", .op_type = "Conv", .integer = true, .reason = std::nullopt, .macs = 900});
  validation.coverage.nodes.push_back({.node = "head<1>",
                                       .op_type = "Gemm",
                                       .integer = false,
                                       .reason = Reason{ReasonCode::kKeptByRule, ""},
                                       .macs = 100});
  validation.isa = "avx512_core_vnni";
  validation.speed = validate::Speed{1000, 2500, 2.5, 5, 2};
  validation.latencies.push_back({.nodes = {"conv_1", "relu_1"},
                                  .node = "conv_1",
                                  .op_type = "Conv",
                                  .macs = 900,
                                  .float_seconds = 0.003,
                                  .integer_seconds = 0.001,
                                  .float_implementation = "onednn:jit:avx512_core",
                                  .implementation = "onednn:jit_int8:avx512_core_vnni",
                                  .reason = std::nullopt});
  validation.latencies.push_back({.nodes = {"head<1>"},
                                  .node = "head<1>",
                                  .op_type = "Gemm",
                                  .macs = 100,
                                  .float_seconds = 0.0005,
                                  .integer_seconds = 0.0005,
                                  .float_implementation = "onednn:gemm",
                                  .implementation = "onednn:gemm",
                                  .reason = Reason{ReasonCode::kKeptByRule, ""}});
  return validation;
}

}  // namespace

report::Report sample_report() {
  report::Report report;
  report.command = "quantize";
  report.recipe = "int8 weights per channel, uint8 activations, minmax";
  report.versions = {"0.1.0", "1.23.2", "3.2.0", "3.21.12", "avx512_core_vnni"};
  report.float_model = {"models/net.onnx", "aa11", 4096, 4000};
  report.quantized_model = {"out/net.int8.onnx", "bb22", 1229, 1000};
  report.options = Json{{"samples", 100}, {"target", "onnxruntime"}};
  report.calibration = report::CalibrationFacts{
      .data = report::DataFacts{"calib.npy", "cc33", 100}, .source = "data", .samples = 100, .seconds = 0.5};
  report.plan = sample_plan();
  report.evaluation = report::DataFacts{"eval.npy", "dd44", 400};
  report.validation = sample_validation();
  report.stages = {{"load", 0.125}, {"observe", 0.5}};
  report.warnings = {"value 'x & y': 3 of 100 elements were NaN or infinite and were left out"};
  report.notes = {"evaluated on the 400 samples that calibration left"};
  report.gates = report::evaluate_gates({.max_top1_drop = 1,
                                         .min_agreement = 0.99,
                                         .min_sqnr_db = std::nullopt,
                                         .min_integer_macs = 0.9,
                                         .max_size_ratio = std::nullopt},
                                        report);
  return report;
}

}  // namespace narrow::test
