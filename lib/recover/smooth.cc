#include "lib/recover/smooth.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/recover/row_statistics.h"
#include "lib/recover/smooth_place.h"

namespace narrow::recover {
namespace {

SmoothPlace place_named(const graph::Model& model, const graph::GraphIndex& index, const std::string& value) {
  auto place = smooth_place(model, index, value);
  if (place) return std::move(*place);
  throw Error(ErrorKind::kUsage, "smooth: no MatMul or Gemm with constant weights reads a value '{}'", value);
}

const onnx::ValueInfoProto* info_of(const onnx::GraphProto& graph, const std::string& value) {
  for (const auto* infos : {&graph.value_info(), &graph.input()}) {
    const auto found =
        std::find_if(infos->begin(), infos->end(), [&](const auto& info) { return info.name() == value; });
    if (found != infos->end()) return &*found;
  }
  return nullptr;
}

/// value -> Mul -> what the products read.
void insert_mul(const SmoothPlace& place, std::span<const double> factors, graph::Model& model) {
  graph::GraphEditor editor(model);
  Tensor inverse(DataType::kFloat32, {place.channels});
  std::transform(factors.begin(), factors.end(), inverse.mutable_data<float>().begin(),
                 [](double factor) { return static_cast<float>(1 / factor); });
  const std::string constant = editor.add_initializer(place.value + "_smooth_factors", inverse);
  const std::string output = editor.unique_name(place.value + "_smooth");
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) {
    const bool reads = std::any_of(place.products.begin(), place.products.end(),
                                   [&](const onnx::NodeProto* product) { return product->name() == node.name(); });
    if (reads) node.set_input(0, output);
  }
  editor.add_node("Mul", editor.unique_name(output + "_mul"), {place.value, constant}, {output});
  if (const onnx::ValueInfoProto* known = info_of(model.graph(), place.value)) {
    onnx::ValueInfoProto info = *known;
    info.set_name(output);
    *model.mutable_graph().add_value_info() = std::move(info);
  }
  editor.finish();
}

std::vector<double> inverse_of(std::span<const double> factors) {
  std::vector<double> result;
  for (const double factor : factors) result.push_back(1 / factor);
  return result;
}

/// `factors_of(place, value)`: what the channels are divided by.
template <class FactorsOf>
graph::Model apply(const graph::Model& model, const std::vector<plan::SmoothedValue>& values, FactorsOf factors_of) {
  const graph::GraphIndex index(model.graph());
  ConstantFactors constants(model, index);
  std::vector<std::pair<SmoothPlace, std::vector<double>>> inserted;
  for (const plan::SmoothedValue& value : values) {
    SmoothPlace place = place_named(model, index, value.value);
    std::vector<double> factors = factors_of(place, value);
    for (const onnx::NodeProto* product : place.products) {
      constants.scale({.node = product->name(), .input = 1, .axis = summed_axis(*product)}, factors);
    }
    if (!place.path) {
      inserted.emplace_back(std::move(place), std::move(factors));
      continue;
    }
    const std::vector<double> inverse = inverse_of(factors);
    for (const ScaledConstant& constant : *place.path) constants.scale(constant, inverse);
  }
  graph::Model result = model;
  constants.write(result);
  for (const auto& [place, factors] : inserted) insert_mul(place, factors, result);
  return result;
}

}  // namespace

graph::Model smooth(const graph::Model& model, const std::vector<plan::SmoothedValue>& values, const Samples& samples,
                    int workers) {
  std::vector<std::string> names;
  for (const plan::SmoothedValue& value : values) names.push_back(value.value);
  const auto seen = observe_rows(model, samples, names, {.rows = 0, .workers = workers});
  const graph::GraphIndex index(model.graph());
  return apply(model, values, [&](const SmoothPlace& place, const plan::SmoothedValue& value) {
    const auto found = seen.find(value.value);
    if (found == seen.end()) return std::vector<double>(static_cast<size_t>(place.channels), 1.0);
    return smooth_factors(found->second.sizes(), weight_magnitudes(model, index, place), value);
  });
}

std::vector<std::string> smoothed_values(const graph::Model& model, const graph::Model& smoothed,
                                         const std::vector<plan::SmoothedValue>& values) {
  const graph::GraphIndex before(model.graph());
  const graph::GraphIndex after(smoothed.graph());
  std::vector<std::string> names;
  for (const plan::SmoothedValue& value : values) {
    const SmoothPlace place = place_named(model, before, value.value);
    names.push_back(after.node(place.products.front()->name())->input(0));
  }
  return names;
}

graph::Model smooth_nodes(const graph::Model& model, const std::vector<plan::SmoothedValue>& values) {
  return apply(model, values, [](const SmoothPlace& place, const plan::SmoothedValue&) {
    return std::vector<double>(static_cast<size_t>(place.channels), 1.0);
  });
}

}  // namespace narrow::recover
