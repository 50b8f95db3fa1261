#include "lib/validate/layers.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"

namespace narrow::validate {
namespace {

/// Rewriting may have given a name to a value of another shape; that is no counterpart.
bool comparable(const Tensor* x, const Tensor* y) {
  return x != nullptr && y != nullptr && x->shape() == y->shape();
}

/// Both are dequantized by the same parameters, so their difference is a whole number of steps.
StepDifference step_difference(const Tensor& integer, const Tensor& simulated, const quant::QuantParams& params) {
  StepDifference result{.elements = integer.size(), .unequal = 0, .most = 0};
  if (params.axis) return {};
  const auto a = integer.data<float>();
  const auto b = simulated.data<float>();
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    ++result.unequal;
    result.most = std::max<int64_t>(result.most, std::llround(std::abs(a[i] - b[i]) / params.scales.front()));
  }
  return result;
}

}  // namespace

Metrics metrics_of(const ErrorStatistics& statistics) {
  return {statistics.sqnr_db(), statistics.cosine(), statistics.max_abs_error()};
}

void LayerErrors::add(const LayerErrors& other) {
  integer.add(other.integer);
  simulated.add(other.simulated);
  difference.elements += other.difference.elements;
  difference.unequal += other.difference.unequal;
  difference.most = std::max(difference.most, other.difference.most);
}

void add_errors(const std::vector<LayerErrors>& errors, std::vector<LayerErrors>& sums) {
  if (sums.size() < errors.size()) sums.resize(errors.size());
  for (size_t i = 0; i < errors.size(); ++i) sums[i].add(errors[i]);
}

LayerComparer::LayerComparer(const graph::Model& float_model, const graph::Model& quantized,
                             const runtime::LoweredModel& lowered)
    : lowered_(lowered) {
  find_layers(float_model);
  exec::CompileOptions real;
  exec::CompileOptions integer;
  for (const Layer& layer : layers_) {
    wanted_float_[layer.value->real] = nullptr;
    wanted_integer_[layer.integer] = &layer.value->params;
    real.observed.push_back(layer.value->real);
    integer.observed.push_back(layer.integer);
  }
  float_program_ = exec::compile_float(float_model, real);
  simulated_program_ = exec::compile_float(quantized, integer);
}

void LayerComparer::find_layers(const graph::Model& float_model) {
  std::map<std::string, std::vector<Layer>> by_real;
  for (const auto& [integer, value] : lowered_.quantized) by_real[value.real].push_back({integer, &value});
  const auto take = [&](const std::string& real) {
    const auto found = by_real.find(real);
    if (found != by_real.end()) layers_.insert(layers_.end(), found->second.begin(), found->second.end());
  };
  for (const auto& input : float_model.graph().input()) take(input.name());
  graph::for_each_node(float_model.graph(), [&](const onnx::NodeProto& node) {
    graph::for_each_subgraph(node, [&](const onnx::GraphProto& body) {
      for (const auto& input : body.input()) take(input.name());
    });
    for (const std::string& output : node.output()) take(output);
  });
}

LayerRun LayerComparer::run(const exec::Feed& float_feed, const exec::Feed& feed, Workspace& workspace) const {
  KeptValues real(wanted_float_);
  KeptValues integer(wanted_integer_);
  KeptValues simulated(wanted_integer_);
  LayerRun run;
  run.float_outputs = float_program_.run(float_feed, workspace, {.listener = &real});
  run.integer_outputs = lowered_.program.run(feed, workspace, {.listener = &integer});
  simulated_program_.run(feed, workspace, {.listener = &simulated});
  for (const Layer& layer : layers_) run.layers.push_back(compare_layer(layer, real, integer, simulated));
  return run;
}

LayerErrors LayerComparer::compare_layer(const Layer& layer, const KeptValues& real, const KeptValues& integer,
                                         const KeptValues& simulated) const {
  const Tensor* x = real.find(layer.value->real);
  const Tensor* y = integer.find(layer.integer);
  const Tensor* s = simulated.find(layer.integer);
  LayerErrors errors;
  if (comparable(x, y)) errors.integer = *compare(layer.value->real, *x, *y);
  if (comparable(x, s)) errors.simulated = *compare(layer.value->real, *x, *s);
  if (comparable(y, s)) errors.difference = step_difference(*y, *s, layer.value->params);
  return errors;
}

std::vector<LayerComparison> LayerComparer::summarize(const std::vector<LayerErrors>& sums) const {
  std::vector<LayerComparison> layers;
  for (size_t i = 0; i < sums.size(); ++i) {
    const LayerErrors& sum = sums[i];
    if (sum.integer.count() == 0) continue;
    const runtime::QuantizedValue& value = *layers_[i].value;
    LayerComparison layer{.value = value.real,
                          .node = value.node,
                          .op_type = value.op_type,
                          .metrics = metrics_of(sum.integer),
                          .simulated = std::nullopt,
                          .difference = std::nullopt};
    if (sum.simulated.count() > 0) layer.simulated = metrics_of(sum.simulated);
    if (sum.difference.elements > 0) layer.difference = sum.difference;
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace narrow::validate
