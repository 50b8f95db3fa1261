#include "apps/import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "lib/base/suggest.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/plan/plan.h"
#include "lib/quant/quant_type.h"

namespace narrow::apps {
namespace {

constexpr size_t kNamed = 5;  // values in one message

/// The name as a glob that matches nothing else.
std::string as_glob(const std::string& name) {
  std::string pattern;
  for (const char c : name) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

Json rule_for(const std::string& node) {
  return {{"match", {{"name", as_glob(node)}}}};
}

std::string first_of(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamed);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

/// Nodes of the user's model that read the initializer, by label.
std::vector<std::string> readers_of(const graph::Model& loaded, const std::string& initializer) {
  std::vector<std::string> readers;
  graph::for_each_node(loaded.graph(), [&](const onnx::NodeProto& node) {
    const bool reads = std::find(node.input().begin(), node.input().end(), initializer) != node.input().end();
    if (reads) readers.push_back(graph::node_label(node));
  });
  return readers;
}

/// The quantization that a weight's override sets in a rule.
Json weight_settings(const std::string& tensor, const TensorOverride& wanted, const analyze::Layer& layer) {
  if (wanted.rmin || wanted.scale) {
    throw Error(ErrorKind::kUsage,
                "tensor '{}': ranges and scales of weights have no equivalent in rules; "
                "edit the scales in the plan instead",
                tensor);
  }
  Json weights = Json::object();
  if (wanted.type) weights["type"] = *wanted.type;
  if (wanted.symmetric) weights["symmetric"] = *wanted.symmetric;
  if (wanted.reduce_range) weights["reduce_range"] = *wanted.reduce_range;
  Json rule = rule_for(layer.node);
  if (!weights.empty()) rule["weights"] = std::move(weights);
  rule["granularity"] = wanted.axis ? "per_channel" : "per_tensor";
  return rule;
}

void import_weight(const std::string& tensor, const TensorOverride& wanted, const ImportSubject& subject,
                   Imported& imported) {
  std::vector<std::string> others;
  bool used = false;
  for (const std::string& reader : readers_of(subject.loaded, tensor)) {
    const analyze::Layer* layer = subject.analysis.layer(reader);
    if (layer == nullptr || !layer->weight) {
      others.push_back(reader);
      continue;
    }
    if (layer->bias && layer->bias->initializer == tensor) {
      imported.notes.push_back(
          fmt::format("tensor '{}': the bias of '{}' is int32 in the steps of input times weight "
                      "whatever is wished",
                      tensor, reader));
      used = true;
      continue;
    }
    const std::optional<int64_t> axis = layer->weight->channel_axis;
    if (wanted.axis && *wanted.axis >= 0 && axis != wanted.axis) {
      throw Error(ErrorKind::kUsage,
                  "tensor '{}': '{}' has its channels on axis {}, scales along axis {} have no "
                  "equivalent",
                  tensor, reader, axis.value_or(-1), *wanted.axis);
    }
    imported.rules.push_back(weight_settings(tensor, wanted, *layer));
    used = true;
  }
  if (used) return;
  imported.notes.push_back(
      fmt::format("tensor '{}': no layer takes it as a quantized weight (read by {}), so there is "
                  "nothing to set",
                  tensor, others.empty() ? "nobody" : first_of(others)));
}

/// The node whose activations setting decides about the value: its group's maker.
std::string maker_of(const std::string& tensor, const ImportSubject& subject) {
  const graph::GraphIndex index(subject.model.graph(), graph::Depth::kBodies);
  const onnx::NodeProto* maker = index.producer(subject.analysis.group(tensor).representative);
  if (maker == nullptr) return "";
  const auto clamp = subject.analysis.clamp_producer.find(maker->name());
  return clamp == subject.analysis.clamp_producer.end() ? maker->name() : clamp->second;
}

void import_activation(const std::string& tensor, const TensorOverride& wanted, const ImportSubject& subject,
                       Imported& imported) {
  if (wanted.axis) {
    throw Error(ErrorKind::kUsage, "tensor '{}': an activation has one scale; axis has no equivalent", tensor);
  }
  if (wanted.reduce_range) {
    throw Error(ErrorKind::kUsage, "tensor '{}': reduce_range is for weights, this is an activation", tensor);
  }
  if (wanted.type || wanted.symmetric) {
    const std::string maker = maker_of(tensor, subject);
    if (maker.empty()) {
      throw Error(ErrorKind::kUsage,
                  "tensor '{}': the type of a graph input is that of the node that reads it; "
                  "set it by a rule for that node, or in defaults.activations",
                  tensor);
    }
    Json rule = rule_for(maker);
    Json activations = Json::object();
    if (wanted.type) activations["type"] = *wanted.type;
    if (wanted.symmetric) activations["symmetric"] = *wanted.symmetric;
    rule["activations"] = std::move(activations);
    imported.rules.push_back(std::move(rule));
  }
  if (wanted.rmin) {
    imported.ranges[tensor] = {static_cast<float>(std::min(*wanted.rmin, 0.0)),
                               static_cast<float>(std::max(*wanted.rmax, 0.0))};
  }
  if (wanted.scale) {
    const quant::QuantTypeRow& type = quant::row(quant::quant_type_from_name(wanted.type.value_or("uint8")));
    const auto real = [&](int64_t integer) {
      return static_cast<float>(*wanted.scale * static_cast<double>(integer - *wanted.zero_point));
    };
    imported.ranges[tensor] = {real(type.qmin), real(type.qmax)};
  }
}

}  // namespace

void import_exclusions(const std::vector<std::string>& nodes, const std::string& source, const ImportSubject& subject,
                       Imported& imported) {
  std::vector<std::string> known;
  graph::for_each_node(subject.loaded.graph(),
                       [&](const onnx::NodeProto& node) { known.push_back(graph::node_label(node)); });
  for (const std::string& node : nodes) {
    if (subject.analysis.layer(node) != nullptr) {
      Json rule = rule_for(node);
      rule["keep"] = "float32";
      rule["reason"] = "excluded by " + source;
      imported.rules.push_back(std::move(rule));
    } else if (std::find(known.begin(), known.end(), node) != known.end()) {
      imported.notes.push_back(
          fmt::format("node '{}' is folded into another or computed once, so it is not quantized "
                      "of its own",
                      node));
    } else {
      throw Error(ErrorKind::kUsage, "{}: the model has no node '{}'{}", source, node, did_you_mean(node, known));
    }
  }
}

void import_overrides(const std::map<std::string, TensorOverride>& overrides, const ImportSubject& subject,
                      Imported& imported) {
  const graph::GraphIndex index(subject.loaded.graph());
  for (const auto& [tensor, wanted] : overrides) {
    if (index.initializer(tensor) != nullptr) {
      import_weight(tensor, wanted, subject, imported);
    } else if (subject.analysis.group_of.contains(tensor)) {
      import_activation(tensor, wanted, subject, imported);
    } else if (index.has_value(tensor)) {
      imported.notes.push_back(
          fmt::format("tensor '{}' is never quantized here: it vanishes when constants and "
                      "BatchNormalization are folded, or no operator takes it as integers",
                      tensor));
    } else {
      std::vector<std::string> known;
      for (const auto& [value, group] : subject.analysis.group_of) known.push_back(value);
      for (const onnx::TensorProto& initializer : subject.loaded.graph().initializer()) {
        known.push_back(initializer.name());
      }
      throw Error(ErrorKind::kUsage, "the model has no tensor '{}'{}", tensor, did_you_mean(tensor, known));
    }
  }
}

calib::CalibrationTable import_ranges(const TensorRanges& ranges, const ImportSubject& subject,
                                      const plan::Rules& rules, Imported& imported) {
  std::map<std::string, quant::Range> known = ranges.ranges;
  for (const auto& [value, range] : imported.ranges) known[value] = range;
  calib::CalibrationTable table;
  std::vector<std::string> missing;
  std::set<std::string> used;
  for (const auto& [representative, need] : plan::calibration_needs(subject.model, subject.analysis, rules)) {
    if (need.sources.empty()) continue;
    calib::CalibratedValue value;
    for (const std::string& source : need.sources) {
      const auto found = known.find(source);
      if (found == known.end()) {
        missing.push_back(source);
        continue;
      }
      used.insert(source);
      value.range.rmin = std::min(value.range.rmin, found->second.rmin);
      value.range.rmax = std::max(value.range.rmax, found->second.rmax);
    }
    value.min = value.range.rmin;
    value.max = value.range.rmax;
    value.count = 1;  // that it was seen; how often, the file does not say
    value.calibrator = {.method = quant::CalibrationMethod::kMinMax};
    value.scheme = need.scheme;
    table.values[representative] = value;
  }
  if (!missing.empty()) {
    throw Error(ErrorKind::kUsage, "the table has no range for {}: calibrate with 'narrow calibrate' instead",
                first_of(missing));
  }
  std::vector<std::string> unused;
  for (const auto& [name, range] : known) {
    if (!used.contains(name)) unused.push_back(name);
  }
  if (!unused.empty()) {
    imported.notes.push_back(
        fmt::format("{} ranges are not needed, because their values share another's scale or are "
                    "not quantized: {}",
                    unused.size(), fmt::join(unused, ", ")));
  }
  return table;
}

}  // namespace narrow::apps
