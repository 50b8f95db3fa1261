#include "lib/base/json_number.h"
#include "lib/report/report.h"
#include "lib/report/speed.h"
#include "lib/report/tuning.h"

namespace narrow::report {
namespace {

Json to_json(const Versions& versions) {
  return {{"narrow", versions.narrow},
          {"onnx", versions.onnx},
          {"onednn", versions.onednn},
          {"protobuf", versions.protobuf},
          {"isa", versions.isa}};
}

Json to_json(const ModelFacts& model) {
  return {{"path", model.path},
          {"sha256", model.sha256},
          {"file_bytes", model.file_bytes},
          {"weight_bytes", model.weight_bytes}};
}

Json to_json(const DataFacts& data) {
  return {{"path", data.path}, {"sha256", data.sha256}, {"samples", data.samples}};
}

Json ratio(int64_t quantized, int64_t original) {
  if (original == 0) return nullptr;
  return static_cast<double>(quantized) / static_cast<double>(original);
}

Json to_json(const CalibrationFacts& calibration) {
  Json json{{"source", calibration.source}, {"samples", calibration.samples}, {"seconds", calibration.seconds}};
  json["data"] = calibration.data ? to_json(*calibration.data) : Json(nullptr);
  return json;
}

Json to_json(const RecoveryFacts& recovery) {
  Json json{{"chosen", recovery.trials.at(recovery.chosen).steps},
            {"samples", recovery.samples},
            {"held_samples", recovery.held_samples}};
  json["trials"] = Json::array();
  for (const RecoveryTrial& trial : recovery.trials) {
    json["trials"].push_back({{"steps", trial.steps},
                              {"sqnr_db", json_number(trial.sqnr_db)},
                              {"gain_db", json_number(trial.gain_db)},
                              {"gain_error_db", json_number(trial.gain_error_db)},
                              {"seconds", trial.seconds}});
  }
  json["layers"] = Json::array();
  for (const RecoveryFacts::Layer& layer : recovery.layers) {
    json["layers"].push_back({{"node", layer.node},
                              {"nearest_error", json_number(layer.nearest_error)},
                              {"recovered_error", json_number(layer.recovered_error)},
                              {"held_error", json_number(layer.held_error)}});
  }
  return json;
}

Json reason_json(const std::optional<Reason>& reason) {
  if (!reason) return nullptr;
  return {{"code", reason_code_name(reason->code)}, {"text", reason->text()}};
}

Json plan_json(const plan::PrecisionPlan& plan) {
  Json layers = Json::array();
  for (const plan::LayerPlan& layer : plan.layers) {
    Json entry{{"node", layer.node},
               {"op", layer.op_type},
               {"decision", plan::decision_name(layer.decision)},
               {"rule", layer.rule}};
    if (layer.reason) entry["reason"] = reason_json(layer.reason);
    if (layer.weight && layer.weight->enlarged_channels > 0) {
      entry["enlarged_channels"] = layer.weight->enlarged_channels;
    }
    layers.push_back(std::move(entry));
  }
  return {{"layers", std::move(layers)}, {"quantized_values", plan.values.size()}};
}

Json to_json(const validate::Metrics& metrics) {
  return {{"sqnr_db", json_number(metrics.sqnr_db)},
          {"cosine", json_number(metrics.cosine)},
          {"max_abs_error", json_number(metrics.max_abs_error)}};
}

Json to_json(const validate::OutputComparison& output) {
  Json json{{"name", output.name}};
  json.update(to_json(output.metrics));
  json["agreement"] = json_number(output.agreement);
  if (output.not_comparable > 0) json["not_comparable"] = output.not_comparable;
  if (output.not_finite > 0) {
    json["not_finite"] = output.not_finite;
    json["elements"] = output.elements;
  }
  if (output.accuracy) {
    json["top1_float"] = output.accuracy->top1_float;
    json["top1_quantized"] = output.accuracy->top1_quantized;
    json["top5_float"] = output.accuracy->top5_float;
    json["top5_quantized"] = output.accuracy->top5_quantized;
  }
  return json;
}

Json to_json(const runtime::Coverage& coverage) {
  Json nodes = Json::array();
  for (const runtime::NodeCoverage& node : coverage.nodes) {
    Json entry{{"node", node.node}, {"op", node.op_type}, {"integer", node.integer}};
    if (node.reason) entry["reason"] = reason_json(node.reason);
    entry["macs"] = node.macs ? Json(*node.macs) : Json(nullptr);
    nodes.push_back(std::move(entry));
  }
  return {{"integer_nodes", coverage.integer_nodes()},
          {"total_nodes", coverage.nodes.size()},
          {"node_share", json_number(coverage.node_share())},
          {"integer_macs", coverage.integer_macs()},
          {"total_macs", coverage.total_macs()},
          {"mac_share", json_number(coverage.mac_share())},
          {"nodes", std::move(nodes)}};
}

Json to_json(const validate::Speed& speed) {
  return {{"float_samples_per_second", json_number(speed.float_samples_per_second)},
          {"integer_samples_per_second", json_number(speed.integer_samples_per_second)},
          {"ratio", json_number(speed.ratio)},
          {"turns", speed.turns},
          {"threads", speed.threads}};
}

Json to_json(const validate::StepDifference& difference) {
  return {{"elements", difference.elements}, {"unequal", difference.unequal}, {"most_steps", difference.most}};
}

Json to_json(const runtime::KernelCheck& check) {
  return {{"node", check.node},
          {"op", check.op_type},
          {"elements", check.elements},
          {"unequal", check.unequal},
          {"beyond_one", check.beyond_one},
          {"most_steps", check.most}};
}

Json to_json(const validate::Validation& validation) {
  Json json{{"samples", validation.samples}, {"isa", validation.isa}, {"saturates_pairs", validation.saturates_pairs}};
  json["outputs"] = Json::array();
  for (const auto& output : validation.outputs) json["outputs"].push_back(to_json(output));
  json["coverage"] = to_json(validation.coverage);
  json["layer_samples"] = validation.layer_samples;
  json["layers"] = Json::array();
  for (const validate::LayerComparison& layer : validation.layers) {
    Json entry{{"value", layer.value}, {"node", layer.node}, {"op", layer.op_type}};
    entry.update(to_json(layer.metrics));
    entry["simulated"] = layer.simulated ? to_json(*layer.simulated) : Json(nullptr);
    entry["difference"] = layer.difference ? to_json(*layer.difference) : Json(nullptr);
    json["layers"].push_back(std::move(entry));
  }
  json["checks"] = Json::array();
  for (const runtime::KernelCheck& check : validation.checks) json["checks"].push_back(to_json(check));
  json["latencies"] = Json::array();
  for (const validate::LayerLatency& layer : validation.latencies) json["latencies"].push_back(report::to_json(layer));
  json["speed"] = validation.speed ? to_json(*validation.speed) : Json(nullptr);
  return json;
}

Json to_json(const IsaRun& run) {
  Json json{{"isa", run.isa}, {"saturates_pairs", run.saturates_pairs}, {"kernels", run.kernels}};
  json["outputs"] = Json::array();
  for (const IsaOutput& output : run.outputs) {
    json["outputs"].push_back({{"name", output.name},
                               {"sqnr_db", json_number(output.sqnr_db)},
                               {"agreement", output.agreement ? Json(*output.agreement) : Json(nullptr)}});
  }
  json["inexact_nodes"] = run.inexact_nodes;
  return json;
}

template <class T, class Convert>
Json optional_json(const std::optional<T>& value, Convert convert) {
  return value ? convert(*value) : Json(nullptr);
}

}  // namespace

Json to_json(const Report& report) {
  Json json{{"format", "narrow-report"}, {"version", kReportVersion}, {"command", report.command}};
  json["recipe"] = report.recipe;
  json["versions"] = to_json(report.versions);
  json["float_model"] = to_json(report.float_model);
  json["quantized_model"] = to_json(report.quantized_model);
  json["file_size_ratio"] = ratio(report.quantized_model.file_bytes, report.float_model.file_bytes);
  json["weight_size_ratio"] = ratio(report.quantized_model.weight_bytes, report.float_model.weight_bytes);
  json["options"] = report.options;
  json["calibration"] = optional_json(report.calibration, [](const auto& value) { return to_json(value); });
  json["recovery"] = optional_json(report.recovery, [](const auto& value) { return to_json(value); });
  json["tuning"] = optional_json(report.tuning, [](const auto& value) { return to_json(value); });
  json["plan"] = optional_json(report.plan, plan_json);
  json["evaluation"] = optional_json(report.evaluation, [](const auto& value) { return to_json(value); });
  json["validation"] = optional_json(report.validation, [](const auto& value) { return to_json(value); });
  json["isas"] = Json::array();
  for (const IsaRun& run : report.isas) json["isas"].push_back(to_json(run));
  json["gates"] = Json::array();
  for (const Gate& gate : report.gates) json["gates"].push_back(to_json(gate));
  json["passed"] = all_passed(report.gates);
  json["stages"] = Json::array();
  for (const StageTime& stage : report.stages) {
    json["stages"].push_back({{"name", stage.name}, {"seconds", stage.seconds}});
  }
  json["warnings"] = report.warnings;
  json["notes"] = report.notes;
  return json;
}

}  // namespace narrow::report
