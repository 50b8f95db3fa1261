#include "lib/plan/target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>

#include "lib/plan/rules.h"

namespace narrow::plan {
namespace {

using quant::QuantType;

// onnxruntime 1.31 fuses Q/DQ around products whatever their types, and then refuses those that its integer kernels do
// not have: 2-bit integers, floating-point codes, 4-bit activations, blocks of 8-bit weights. Other types stay apart
// and compute in float.
constexpr std::array kOnnxruntimeWeights{QuantType::kInt8,   QuantType::kUint8, QuantType::kInt16,
                                         QuantType::kUint16, QuantType::kInt4,  QuantType::kUint4};
constexpr std::array kOnnxruntimeBlocks{QuantType::kInt4, QuantType::kUint4};
constexpr std::array kOnnxruntimeActivations{QuantType::kInt8, QuantType::kUint8, QuantType::kInt16,
                                             QuantType::kUint16};

const std::array kTargets{
    TargetRow{.target = Target::kOnnxruntime,
              .name = "onnxruntime",
              .weights = kOnnxruntimeWeights,
              .block_weights = kOnnxruntimeBlocks,
              .activations = kOnnxruntimeActivations,
              .misreads_two_bit_products = true},
    TargetRow{.target = Target::kGeneric, .name = "generic", .weights = {}, .block_weights = {}, .activations = {}},
};

bool has(std::span<const QuantType> types, QuantType type) {
  return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
}

}  // namespace

std::span<const TargetRow> targets() {
  return kTargets;
}

const TargetRow& row(Target target) {
  return *std::find_if(kTargets.begin(), kTargets.end(), [&](const TargetRow& r) { return r.target == target; });
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const TargetRow& r : kTargets) names.emplace_back(r.name);
  return names;
}

std::optional<Reason> refusal(const TargetRow& target, const analyze::Layer& layer, const LayerScheme& scheme) {
  const auto refuse = [&](const std::string& what) {
    return Reason{ReasonCode::kTargetCanNot, fmt::format("{} has no kernel for {}", target.name, what)};
  };
  if (!has(target.activations, scheme.activations)) {
    return refuse(fmt::format("{} activations", quant::name(scheme.activations)));
  }
  if (!layer.weight) return std::nullopt;
  if (!has(target.weights, scheme.weights)) return refuse(fmt::format("{} weights", quant::name(scheme.weights)));
  if (scheme.granularity == Granularity::kPerBlock && !has(target.block_weights, scheme.weights)) {
    return refuse(fmt::format("{} weights in blocks", quant::name(scheme.weights)));
  }
  return std::nullopt;
}

quant::Grouping adapted(const TargetRow& target, const analyze::Layer& layer, const Shape& weight,
                        const quant::Grouping& asked, QuantType type) {
  const bool misread = target.misreads_two_bit_products && quant::row(type).bits == 2 && layer.op_type == "MatMul";
  if (!misread || weight.size() != 2 || !layer.stored_weight->block_axis) return asked;
  const int64_t axis = *layer.stored_weight->block_axis;
  const int64_t block = asked.block > 0 ? asked.block : weight[static_cast<size_t>(axis)];
  // The kernel takes blocks of powers of two only.
  const bool power = std::has_single_bit(static_cast<uint64_t>(block));
  return {.axis = axis, .block = power ? block + 1 : block};
}

}  // namespace narrow::plan
