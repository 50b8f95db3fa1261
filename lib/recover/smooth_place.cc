#include "lib/recover/smooth_place.h"

#include <algorithm>
#include <cmath>

#include "lib/graph/attributes.h"

namespace narrow::recover {
namespace {

/// Of the largest channel: narrower ones count as this wide. What calibration did not see may be wider.
constexpr double kLeastShare = 1e-4;

bool multiplies_by_constants(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  const bool gemm = node.op_type() == "Gemm" && graph::int_attribute(node, "transA", 0) == 0;
  if ((!gemm && node.op_type() != "MatMul") || !graph::canonical_domain(node.domain()).empty()) return false;
  const onnx::TensorProto* weight = index.initializer(node.input(1));
  return weight != nullptr && weight->dims_size() == 2 && index.initializer(node.input(0)) == nullptr &&
         static_cast<DataType>(weight->data_type()) == DataType::kFloat32;
}

}  // namespace

int64_t summed_axis(const onnx::NodeProto& product) {
  return product.op_type() == "Gemm" && graph::int_attribute(product, "transB", 0) != 0 ? -1 : -2;
}

std::optional<SmoothPlace> smooth_place(const graph::Model& model, const graph::GraphIndex& index,
                                        const std::string& value) {
  SmoothPlace place{.value = value, .products = {}, .path = {}};
  for (const graph::Use& use : index.uses(value)) {
    if (use.input != 0 || !multiplies_by_constants(index, *use.node)) continue;
    const onnx::TensorProto& weight = *index.initializer(use.node->input(1));
    const int64_t channels = weight.dims(static_cast<int>(2 + summed_axis(*use.node)));
    if (place.channels != 0 && channels != place.channels) return std::nullopt;
    place.channels = channels;
    place.products.push_back(use.node);
  }
  if (place.channels < 2) return std::nullopt;
  place.path = find_scale_path(index, model, value, place.channels, place.products.size());
  return place;
}

std::vector<SmoothPlace> smooth_places(const graph::Model& model, const graph::GraphIndex& index) {
  std::vector<SmoothPlace> places;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (!multiplies_by_constants(index, node)) continue;
    const std::string& value = node.input(0);
    const bool known =
        std::any_of(places.begin(), places.end(), [&](const auto& place) { return place.value == value; });
    if (known) continue;
    if (auto place = smooth_place(model, index, value)) places.push_back(std::move(*place));
  }
  return places;
}

std::vector<double> weight_magnitudes(const graph::Model& model, const graph::GraphIndex& index,
                                      const SmoothPlace& place) {
  std::vector<double> largest(static_cast<size_t>(place.channels), 0);
  for (const onnx::NodeProto* product : place.products) {
    const Tensor weight = model.tensor(*index.initializer(product->input(1)));
    const auto values = weight.data<float>();
    const auto stride = summed_axis(*product) == -1 ? size_t{1} : static_cast<size_t>(weight.shape()[1]);
    for (size_t i = 0; i < values.size(); ++i) {
      double& most = largest[i / stride % largest.size()];
      most = std::max(most, static_cast<double>(std::abs(values[i])));
    }
  }
  return largest;
}

std::vector<double> smooth_factors(const std::vector<double>& activations, const std::vector<double>& weights,
                                   const plan::SmoothedValue& powers) {
  const auto logarithms = [](const std::vector<double>& magnitudes) {
    const double most = *std::max_element(magnitudes.begin(), magnitudes.end());
    std::vector<double> result;
    for (const double magnitude : magnitudes) {
      result.push_back(most > 0 ? std::log(std::max(magnitude / most, kLeastShare)) : 0);
    }
    return result;
  };
  const std::vector<double> by_activation = logarithms(activations);
  const std::vector<double> by_weight = logarithms(weights);
  std::vector<double> factors;
  double mean = 0;
  for (size_t i = 0; i < activations.size(); ++i) {
    factors.push_back(powers.activation_power * by_activation[i] - powers.weight_power * by_weight[i]);
    mean += factors.back() / static_cast<double>(activations.size());
  }
  for (double& factor : factors) factor = std::exp(factor - mean);
  return factors;
}

}  // namespace narrow::recover
