// The search for powers: each value by itself, on what its products make of rounded activations and weights.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <unordered_map>

#include "lib/base/spread.h"
#include "lib/onednn/matmul.h"
#include "lib/ops/op_table.h"
#include "lib/quant/quant_params.h"
#include "lib/recover/row_statistics.h"
#include "lib/recover/smooth.h"
#include "lib/recover/smooth_place.h"
#include "lib/recover/weight_scheme.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostRows = 512;
constexpr int64_t kLeastRows = 32;
constexpr int64_t kMostOutputs = 512;  // of a product that are judged
constexpr int kActivationSteps = 10;   // powers k / 10
constexpr int kWeightSteps = 4;        // powers k / 4
/// What must be gained, in dB of the products' error: a Mul of its own costs a pass over the value.
constexpr double kLeastGain = 0.1;
constexpr double kLeastGainOfMul = 1.0;
constexpr double kErrorBelowNotice = 1e-4;  // share of the output's energy: no Mul is worth adding

/// A product's weight as [channels, outputs], some of the outputs, and how it is rounded.
struct Reader {
  Tensor weight;
  quant::Scheme scheme;
  quant::Grouping grouping;
  Tensor wanted;  // rows x outputs, of unrounded rows and weight
};

/// The values that may be smoothed under a plan.
class Places {
 public:
  Places(const graph::Model& model, const plan::PrecisionPlan& plan) : model_(model), index_(model.graph()) {
    for (const plan::LayerPlan& layer : plan.layers) layers_[layer.node] = &layer;
  }

  const graph::GraphIndex& index() const { return index_; }

  std::vector<SmoothPlace> all() const {
    std::vector<SmoothPlace> places = smooth_places(model_, index_);
    std::erase_if(places, [&](const SmoothPlace& place) { return !worth_a_look(place); });
    return places;
  }

  const plan::LayerPlan* layer(const onnx::NodeProto& node) const {
    const auto found = layers_.find(node.name());
    return found == layers_.end() ? nullptr : found->second;
  }

  bool rounds_weight(const onnx::NodeProto& node) const {
    const plan::LayerPlan* own = layer(node);
    return own != nullptr && own->weight && own->weight->input == 1 && !quant::row(own->weight->params.type).is_float;
  }

 private:
  /// A Mul belongs between float32 and rounding: behind integers it would round twice.
  bool made_in_float(const std::string& value) const {
    const onnx::NodeProto* maker = index_.producer(value);
    const plan::LayerPlan* own = maker == nullptr ? nullptr : layer(*maker);
    if (maker == nullptr) return index_.is_input(value);
    if (own == nullptr || own->decision == plan::Decision::kFloat || own->decision == plan::Decision::kWeightOnly) {
      return true;
    }
    if (maker->op_type() == "Gemm" || maker->op_type() == "MatMul") return true;
    const ops::OpRow* row = ops::find_op(*maker);
    return row != nullptr && row->role == ops::QuantRole::kPassThrough && made_in_float(maker->input(0));
  }

  bool worth_a_look(const SmoothPlace& place) const {
    const bool rounded = std::any_of(place.products.begin(), place.products.end(),
                                     [&](const onnx::NodeProto* product) { return rounds_weight(*product); });
    return rounded && (place.path || made_in_float(place.value)) && allowed(place);
  }

  /// By all layers whose constants would change.
  bool allowed(const SmoothPlace& place) const {
    const auto one = [&](const std::string& node) {
      const auto found = layers_.find(node);
      return found == layers_.end() || plan::allows(*found->second, plan::RecoveryMethod::kSmooth);
    };
    const bool taken = !place.path || std::all_of(place.path->begin(), place.path->end(),
                                                  [&](const ScaledConstant& constant) { return one(constant.node); });
    return taken && std::all_of(place.products.begin(), place.products.end(),
                                [&](const onnx::NodeProto* product) { return one(product->name()); });
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  std::unordered_map<std::string, const plan::LayerPlan*> layers_;
};

class Search {
 public:
  Search(const graph::Model& model, const plan::PrecisionPlan& plan, const Samples& samples,
         const SmoothOptions& options)
      : model_(model), places_(model, plan), index_(places_.index()), samples_(samples), options_(options) {
    for (const plan::ValuePlan& value : plan.values) params_[value.value] = &value.params;
  }

  std::vector<plan::SmoothedValue> run() {
    const std::vector<SmoothPlace> places = places_.all();
    std::vector<std::string> names;
    int64_t channels = 0;
    for (const SmoothPlace& place : places) {
      names.push_back(place.value);
      channels += place.channels;
    }
    if (places.empty()) return {};
    const int64_t fitting = options_.memory_bytes / (channels * static_cast<int64_t>(sizeof(float)));
    const RowOptions rows{.rows = std::clamp(fitting, kLeastRows, kMostRows), .workers = options_.workers};
    const auto seen = observe_rows(model_, samples_, names, rows);
    std::vector<plan::SmoothedValue> chosen;
    for (size_t i = 0; i < places.size(); ++i) {
      if (options_.progress) options_.progress("smooth", static_cast<int64_t>(i), static_cast<int64_t>(places.size()));
      const auto found = seen.find(places[i].value);
      if (found == seen.end() || static_cast<int64_t>(found->second.low.size()) != places[i].channels) continue;
      if (auto value = search(places[i], found->second)) chosen.push_back(std::move(*value));
    }
    return chosen;
  }

 private:
  Reader reader(const onnx::NodeProto& node, const Tensor& rows) const {
    const Tensor whole = model_.tensor(*index_.initializer(node.input(1)));
    const quant::QuantParams& params = places_.layer(node)->weight->params;
    const bool transposed = summed_axis(node) == -1;
    const int64_t channels = whole.shape()[transposed ? 1 : 0];
    const int64_t all = whole.shape()[transposed ? 0 : 1];
    const std::vector<int64_t> outputs = spread_indices(all, kMostOutputs);
    Reader result{.weight = Tensor(DataType::kFloat32, {channels, static_cast<int64_t>(outputs.size())}),
                  .scheme = weight_scheme(whole, params),
                  .grouping = {},
                  .wanted = {}};
    const auto from = whole.data<float>();
    const auto to = result.weight.mutable_data<float>();
    size_t next = 0;
    for (int64_t channel = 0; channel < channels; ++channel) {
      for (const int64_t output : outputs) {
        to[next++] = from[static_cast<size_t>(transposed ? output * channels + channel : channel * all + output)];
      }
    }
    if (params.block > 0) {
      result.grouping = {.axis = 0, .block = params.block};
    } else if (params.axis) {
      result.grouping = {.axis = 1, .block = 0};
    }
    result.wanted = product(rows, result.weight);
    return result;
  }

  Tensor product(const Tensor& a, const Tensor& b) const {
    Workspace workspace;
    const onednn::Matmul matmul{onednn::MatmulSpec{}};
    const Tensor result = matmul.run(a, b, workspace);
    return Tensor::of<float>(result.shape(), result.data<float>());
  }

  std::optional<plan::SmoothedValue> search(const SmoothPlace& place, const RowStatistics& seen) const {
    const auto count = static_cast<int64_t>(seen.rows.size()) / place.channels;
    const Tensor rows = Tensor::of<float>({count, place.channels}, std::span<const float>(seen.rows));
    std::vector<Reader> readers;
    for (const onnx::NodeProto* node : place.products) {
      if (places_.rounds_weight(*node)) readers.push_back(reader(*node, rows));
    }
    double energy = 0;
    for (const Reader& reader : readers) energy += variance(reader.wanted);
    const auto found = params_.find(place.value);
    const quant::QuantParams* params = found == params_.end() ? nullptr : found->second;
    const std::vector<double> by_weight = weight_magnitudes(model_, index_, place);
    const std::vector<double> by_activation = seen.sizes();
    std::map<std::pair<int, int>, double> errors;
    const auto error = [&](int activation, int weight) {
      const auto [entry, added] = errors.try_emplace({activation, weight}, 0);
      if (!added) return entry->second;
      const plan::SmoothedValue powers = powers_of(place, activation, weight);
      entry->second = output_error(rows, seen, readers, params, smooth_factors(by_activation, by_weight, powers));
      return entry->second;
    };
    const auto [activation, weight] = descend(error);
    const double plain = error(0, 0);
    const double best = error(activation, weight);
    const double gain = 10 * std::log10(plain / best);
    const bool pays = place.path ? gain >= kLeastGain : gain >= kLeastGainOfMul && plain > kErrorBelowNotice * energy;
    if (!pays) return std::nullopt;
    return powers_of(place, activation, weight);
  }

  static plan::SmoothedValue powers_of(const SmoothPlace& place, int activation, int weight) {
    return {.value = place.value,
            .activation_power = static_cast<double>(activation) / kActivationSteps,
            .weight_power = static_cast<double>(weight) / kWeightSteps};
  }

  /// From SmoothQuant's own place, one step of either power at a time while the error falls.
  template <class Error>
  static std::pair<int, int> descend(Error error) {
    std::pair<int, int> at{kActivationSteps / 2, 0};
    for (const int start : {0, kActivationSteps}) {
      if (error(start, 0) < error(at.first, at.second)) at = {start, 0};
    }
    for (;;) {
      std::pair<int, int> next = at;
      const std::array<std::pair<int, int>, 4> steps{{{1, 0}, {-1, 0}, {0, 1}, {0, -1}}};
      for (const auto& [activation, weight] : steps) {
        const std::pair<int, int> to{at.first + activation, at.second + weight};
        if (to.first < 0 || to.first > kActivationSteps || to.second < 0 || to.second > kWeightSteps) continue;
        if (error(to.first, to.second) < error(next.first, next.second)) next = to;
      }
      if (next == at) return at;
      at = next;
    }
  }

  double output_error(const Tensor& rows, const RowStatistics& seen, const std::vector<Reader>& readers,
                      const quant::QuantParams* params, const std::vector<double>& factors) const {
    const Tensor activations = rounded_rows(rows, seen, params, factors);
    double total = 0;
    for (const Reader& reader : readers) {
      Tensor weight = reader.weight;
      const auto columns = static_cast<size_t>(weight.shape()[1]);
      const auto values = weight.mutable_data<float>();
      for (size_t i = 0; i < values.size(); ++i) values[i] *= static_cast<float>(factors[i / columns]);
      const quant::QuantParams chosen = quant::choose_weight_params(weight, reader.scheme, reader.grouping);
      const Tensor made = product(activations, quant::dequantize(quant::quantize(weight, chosen), chosen));
      const auto got = made.data<float>();
      const auto wanted = reader.wanted.data<float>();
      for (size_t i = 0; i < got.size(); ++i) {
        const double difference = static_cast<double>(got[i]) - wanted[i];
        total += difference * difference;
      }
    }
    return total;
  }

  /// The rows divided by the factors, rounded as the plan would: by the extremes of all that was seen.
  static Tensor rounded_rows(const Tensor& rows, const RowStatistics& seen, const quant::QuantParams* params,
                             const std::vector<double>& factors) {
    Tensor divided = rows;
    const auto values = divided.mutable_data<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] /= static_cast<float>(factors[i % factors.size()]);
    if (params == nullptr) return divided;  // weights alone are rounded
    quant::Range range;
    for (size_t i = 0; i < factors.size(); ++i) {
      range.rmin = std::min(range.rmin, static_cast<float>(seen.low[i] / factors[i]));
      range.rmax = std::max(range.rmax, static_cast<float>(seen.high[i] / factors[i]));
    }
    const quant::QuantTypeRow& row = quant::row(params->type);
    const auto centre = static_cast<int32_t>(row.is_signed ? 0 : (row.qmax + 1) / 2);
    const bool symmetric = row.is_float || params->zero_points[0] == centre;
    const auto [scale, zero_point] = quant::choose_params(range, {.type = params->type, .symmetric = symmetric});
    quant::QuantParams own = *params;
    own.scales.assign(1, scale);
    own.zero_points.assign(1, zero_point);
    return quant::dequantize(quant::quantize(divided, own), own);
  }

  static double variance(const Tensor& outputs) {
    const auto values = outputs.data<float>();
    const auto columns = static_cast<size_t>(outputs.shape()[1]);
    std::vector<double> sums(columns);
    double squares = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      sums[i % columns] += values[i];
      squares += static_cast<double>(values[i]) * values[i];
    }
    for (const double sum : sums)
      squares -= sum * sum / (static_cast<double>(values.size()) / static_cast<double>(columns));
    return squares;
  }

  const graph::Model& model_;
  Places places_;
  const graph::GraphIndex& index_;
  const Samples& samples_;
  const SmoothOptions& options_;
  std::unordered_map<std::string, const quant::QuantParams*> params_;
};

}  // namespace

std::vector<std::string> smoothable(const graph::Model& model, const plan::PrecisionPlan& plan) {
  std::vector<std::string> names;
  for (const SmoothPlace& place : Places(model, plan).all()) names.push_back(place.value);
  return names;
}

std::vector<plan::SmoothedValue> search_smoothing(const graph::Model& model, const plan::PrecisionPlan& plan,
                                                  const Samples& samples, const SmoothOptions& options) {
  return Search(model, plan, samples, options).run();
}

}  // namespace narrow::recover
