#include "lib/recover/input_ranges.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/base/spread.h"
#include "lib/graph/graph_index.h"
#include "lib/quant/quant_params.h"
#include "lib/recover/ordered_samples.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostSamples = 16;
/// Of steps of a range: the first is as it was. Less than a whole step in all keeps what 8 bits are for.
constexpr std::array kFactors{1.0F, 1.004F, 1.008F, 1.012F, 1.016F};
constexpr double kLeastGain = 2.0 / 3;

/// Sums of squared rounding errors, by factor.
using Errors = std::array<double, kFactors.size()>;

quant::QuantParams widened(quant::QuantParams params, float factor) {
  // The zero point of a range that grows on both sides alike stays.
  params.scales[0] *= factor;
  return params;
}

Errors errors_of(const Tensor& tensor, const quant::QuantParams& params) {
  Errors errors{};
  for (size_t i = 0; i < kFactors.size(); ++i) {
    const quant::QuantParams wider = widened(params, kFactors[i]);
    const Tensor rounded = quant::dequantize(quant::quantize(tensor, wider), wider);
    const auto values = tensor.data<float>();
    const auto found = rounded.data<float>();
    for (size_t k = 0; k < values.size(); ++k) {
      const double error = static_cast<double>(found[k]) - values[k];
      errors[i] += error * error;
    }
  }
  return errors;
}

bool may_widen(const plan::PrecisionPlan& plan, const plan::ValuePlan& value) {
  const auto& integers = plan.form.integer_io;
  const quant::QuantTypeRow& type = quant::row(value.params.type);
  return !type.is_float && type.bits == 8 && !value.params.axis && value.params.scales.size() == 1 &&
         std::find(integers.begin(), integers.end(), value.value) == integers.end();
}

/// By input.
std::map<std::string, Errors> measure(const std::map<std::string, quant::QuantParams>& inputs, const Samples& samples,
                                      int workers) {
  const std::vector<int64_t> chosen = spread_indices(samples.count, kMostSamples);
  std::vector<std::map<std::string, Errors>> found(chosen.size());
  std::map<std::string, Errors> sums;
  for_each_in_order(
      static_cast<int64_t>(chosen.size()), workers,
      [&](int, int64_t i) {
        const auto at = static_cast<size_t>(i);
        const exec::Feed feed = samples.read(chosen[at]);
        for (const auto& [name, params] : inputs) {
          const auto tensor = feed.find(name);
          if (tensor == feed.end() || tensor->second.type() != DataType::kFloat32) continue;
          found[at][name] = errors_of(tensor->second, params);
        }
      },
      [&](int, int64_t i) {
        for (const auto& [name, errors] : found[static_cast<size_t>(i)]) {
          Errors& sum = sums.try_emplace(name, Errors{}).first->second;
          for (size_t k = 0; k < errors.size(); ++k) sum[k] += errors[k];
        }
      });
  return sums;
}

}  // namespace

namespace {

bool all_readers_allow(const graph::GraphIndex& index, const plan::PrecisionPlan& plan, const std::string& input) {
  const auto uses = index.uses(input);
  return std::all_of(plan.layers.begin(), plan.layers.end(), [&](const plan::LayerPlan& layer) {
    return plan::allows(layer, plan::RecoveryMethod::kRanges) ||
           std::none_of(uses.begin(), uses.end(), [&](const auto& use) { return use.node->name() == layer.node; });
  });
}

}  // namespace

int64_t widen_input_ranges(const graph::Model& model, plan::PrecisionPlan& plan, const Samples& samples, int workers) {
  const graph::GraphIndex index(model.graph());
  std::map<std::string, quant::QuantParams> inputs;
  for (const plan::ValuePlan& value : plan.values) {
    if (!index.is_input(value.value) || !may_widen(plan, value)) continue;
    if (all_readers_allow(index, plan, value.value)) inputs[value.value] = value.params;
  }
  if (inputs.empty()) return 0;
  const analyze::Analysis analysis = analyze::analyze(model);
  std::map<size_t, float> factors;  // by group: its values share parameters
  std::set<size_t> kept;            // groups that a caller's integers are in
  for (const std::string& name : plan.form.integer_io) {
    const auto group = analysis.group_of.find(name);
    if (group != analysis.group_of.end()) kept.insert(group->second);
  }
  for (const auto& [name, errors] : measure(inputs, samples, workers)) {
    const auto least = std::min_element(errors.begin(), errors.end());
    const auto group = analysis.group_of.find(name);
    if (group == analysis.group_of.end() || kept.contains(group->second) || !(*least < kLeastGain * errors.front()))
      continue;
    factors.try_emplace(group->second, kFactors.at(static_cast<size_t>(least - errors.begin())));
  }
  for (plan::ValuePlan& value : plan.values) {
    const auto group = analysis.group_of.find(value.value);
    const auto factor = group == analysis.group_of.end() ? factors.end() : factors.find(group->second);
    if (factor == factors.end()) continue;
    value.params = widened(value.params, factor->second);
    value.range = {value.range.rmin * factor->second, value.range.rmax * factor->second};
  }
  return static_cast<int64_t>(factors.size());
}

}  // namespace narrow::recover
