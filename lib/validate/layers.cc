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
bool comparable(const std::optional<Tensor>& x, const std::optional<Tensor>& y) {
  return x && y && x->shape() == y->shape();
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
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    by_real_[layer.value->real].push_back(i);
    wanted_[layer.integer] = &layer.value->params;
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

/// Compares each float value as it is made, so that none needs to be kept.
class LayerComparer::FloatListener : public exec::TensorListener {
 public:
  FloatListener(const LayerComparer& comparer, const KeptIntegers& integer, const KeptIntegers& simulated,
                std::vector<LayerErrors>& errors)
      : comparer_(comparer), integer_(integer), simulated_(simulated), errors_(errors) {}

  void on_value(const std::string& value, const Tensor& tensor) override {
    const auto found = comparer_.by_real_.find(value);
    if (found == comparer_.by_real_.end()) return;
    const std::optional<Tensor> real = to_float32(to_layout(tensor, Layout::kPlain));
    for (const size_t layer : found->second) {
      const std::string& name = comparer_.layers_[layer].integer;
      const std::optional<Tensor> actual = integer_.dequantized(name);
      const std::optional<Tensor> simulated = simulated_.dequantized(name);
      if (comparable(real, actual)) errors_[layer].integer = *compare(value, *real, *actual);
      if (comparable(real, simulated)) errors_[layer].simulated = *compare(value, *real, *simulated);
    }
  }

 private:
  const LayerComparer& comparer_;
  const KeptIntegers& integer_;
  const KeptIntegers& simulated_;
  std::vector<LayerErrors>& errors_;
};

LayerRun LayerComparer::run(const exec::Feed& float_feed, const exec::Feed& feed, Workspace& workspace) const {
  KeptIntegers integer(wanted_);
  KeptIntegers simulated(wanted_);
  LayerRun run;
  run.layers.resize(layers_.size());
  run.integer_outputs = lowered_.program.run(feed, workspace, {.listener = &integer});
  simulated_program_.run(feed, workspace, {.listener = &simulated});
  FloatListener real(*this, integer, simulated, run.layers);
  run.float_outputs = float_program_.run(float_feed, workspace, {.listener = &real});
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::optional<Tensor> actual = integer.dequantized(layers_[i].integer);
    const std::optional<Tensor> wanted = simulated.dequantized(layers_[i].integer);
    if (!comparable(actual, wanted)) continue;
    run.layers[i].difference = step_difference(*actual, *wanted, layers_[i].value->params);
  }
  return run;
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
