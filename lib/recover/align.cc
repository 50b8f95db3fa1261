#include "lib/recover/align.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "lib/analyze/analyze.h"
#include "lib/base/error.h"
#include "lib/base/spread.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/recover/level_grid.h"
#include "lib/recover/ordered_samples.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostSamples = 32;
constexpr size_t kBias = 2;
constexpr double kLastLevel = 255;
/// Of a step: what does not need a constant of its own.
constexpr double kNegligible = 0.02;

/// A value that a convolution alone reads, and where its channels are in the model input that it is.
struct Place {
  const onnx::NodeProto* convolution = nullptr;
  std::string input;
  size_t channel_axis = 1;  // of the input
  int64_t channels = 0;
};

/// The axis of a model input that axis 1 of `value` is; nullopt where others than transpositions lie between.
std::optional<std::pair<std::string, size_t>> trace(const graph::GraphIndex& index, std::string value) {
  size_t axis = 1;
  while (!index.is_input(value)) {
    const onnx::NodeProto* producer = index.producer(value);
    if (producer == nullptr || producer->op_type() != "Transpose") return std::nullopt;
    const std::vector<int64_t> order = graph::ints_attribute(*producer, "perm");
    if (axis >= order.size()) return std::nullopt;
    axis = static_cast<size_t>(order[axis]);
    value = producer->input(0);
  }
  return std::pair(value, axis);
}

bool has_padding(const onnx::NodeProto& convolution) {
  if (graph::string_attribute(convolution, "auto_pad", "NOTSET").starts_with("SAME")) return true;
  const std::vector<int64_t> pads = graph::ints_attribute(convolution, "pads");
  return std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
}

std::optional<Place> place_of(const graph::GraphIndex& index, const std::string& value) {
  const auto uses = index.uses(value);
  if (uses.size() != 1 || uses[0].input != 0 || index.is_output(value)) return std::nullopt;
  const onnx::NodeProto& node = *uses[0].node;
  if (node.op_type() != "Conv" || graph::int_attribute(node, "group", 1) != 1) return std::nullopt;
  const onnx::TensorProto* weight = index.initializer(node.input(1));
  const bool has_bias = node.input_size() > static_cast<int>(kBias) && !node.input(kBias).empty();
  if (weight == nullptr || weight->dims_size() < 3 || (has_bias && index.initializer(node.input(kBias)) == nullptr) ||
      static_cast<DataType>(weight->data_type()) != DataType::kFloat32) {
    return std::nullopt;
  }
  const auto traced = trace(index, value);
  if (!traced) return std::nullopt;
  return Place{
      .convolution = &node, .input = traced->first, .channel_axis = traced->second, .channels = weight->dims(1)};
}

/// Levels of each channel of each input, over samples.
using Levels = std::map<std::string, std::vector<LevelSet>>;

void add_levels(const Tensor& tensor, const Place& place, std::vector<LevelSet>& levels) {
  const Tensor plain = to_layout(tensor, Layout::kPlain);
  const Shape& shape = plain.shape();
  const auto count = static_cast<size_t>(place.channels);
  if (place.channel_axis >= shape.size() || shape[place.channel_axis] != place.channels) {
    for (LevelSet& set : levels) set.give_up();
    return;
  }
  size_t inner = 1;
  for (size_t i = place.channel_axis + 1; i < shape.size(); ++i) inner *= static_cast<size_t>(shape[i]);
  const auto values = plain.data<float>();
  for (size_t i = 0; i < values.size(); i += inner) {
    LevelSet& set = levels[i / inner % count];
    for (const float value : values.subspan(i, inner)) set.add(value);
  }
}

Levels levels_of(const std::map<std::string, Place>& places, const Samples& samples, int workers) {
  const std::vector<int64_t> chosen = spread_indices(samples.count, kMostSamples);
  Levels total;
  for (const auto& [value, place] : places) total[value].resize(static_cast<size_t>(place.channels));
  std::vector<Levels> found(chosen.size(), total);
  for_each_in_order(
      static_cast<int64_t>(chosen.size()), workers,
      [&](int, int64_t i) {
        const auto at = static_cast<size_t>(i);
        const exec::Feed feed = samples.read(chosen[at]);
        for (const auto& [value, place] : places) {
          const auto tensor = feed.find(place.input);
          const bool usable = tensor != feed.end() && tensor->second.type() == DataType::kFloat32;
          if (usable) add_levels(tensor->second, place, found[at].at(value));
        }
      },
      [&](int, int64_t i) {
        for (auto& [value, sets] : found[static_cast<size_t>(i)]) {
          for (size_t c = 0; c < sets.size(); ++c) total.at(value)[c].add(sets[c]);
          sets.clear();
        }
      });
  return total;
}

/// The code that 0 has, by channel. Where data leave a channel's codes open, they are those of the channel that is
/// settled most, if that makes zeros agree.
std::vector<double> zeros_of(const std::vector<LevelGrid>& grids, std::optional<double> step) {
  std::vector<double> zeros;
  for (const LevelGrid& grid : grids) zeros.push_back(grid.zero(step.value_or(grid.step)));
  const auto widest =
      std::max_element(grids.begin(), grids.end(), [](const auto& a, const auto& b) { return a.levels < b.levels; });
  const double wanted = zeros[static_cast<size_t>(widest - grids.begin())];
  for (size_t c = 0; c < grids.size(); ++c) {
    const double move = std::nearbyint(wanted - zeros[c]);
    const bool open = grids[c].first_code() + move >= 0 && grids[c].first_code() + move <= grids[c].room();
    if (open && std::abs(zeros[c] + move - wanted) < kNegligible) zeros[c] += move;
  }
  return zeros;
}

/// One grid for all channels; nullopt where a channel has none.
std::optional<plan::AlignedInput> align_channels(const std::string& value, const std::vector<LevelSet>& channels) {
  std::vector<LevelGrid> grids;
  for (const LevelSet& set : channels) {
    const auto grid = set.grid();
    if (!grid) return std::nullopt;
    grids.push_back(*grid);
  }
  if (grids.empty()) return std::nullopt;
  double step = 0;
  for (const LevelGrid& grid : grids) step += grid.step / static_cast<double>(grids.size());
  const bool one_step = std::all_of(grids.begin(), grids.end(), [&](const LevelGrid& grid) {
    return std::abs(grid.step / step - 1) * kLastLevel < kNegligible;
  });
  const std::vector<double> zeros = zeros_of(grids, one_step ? std::optional(step) : std::nullopt);
  const double mean = std::accumulate(zeros.begin(), zeros.end(), 0.0) / static_cast<double>(zeros.size());
  plan::AlignedInput aligned{.value = value,
                             .scale = static_cast<float>(step),
                             .zero_point = static_cast<int32_t>(std::clamp(std::nearbyint(mean), 0.0, kLastLevel))};
  bool shifted = false;
  for (size_t c = 0; c < grids.size(); ++c) {
    if (!one_step) aligned.factors.push_back(static_cast<float>(step / grids[c].step));
    const double shift = zeros[c] - aligned.zero_point;
    aligned.shifts.push_back(static_cast<float>(shift * step));
    shifted |= std::abs(shift) > kNegligible;
  }
  if (!shifted) aligned.shifts.clear();
  return aligned;
}

bool is_off_grid(float shift, float scale) {
  return std::abs(shift) > (0.5F + static_cast<float>(kNegligible)) * scale;
}

/// Padding with zeros would put the border where no value is.
bool needs_pad(const onnx::NodeProto& convolution, const plan::AlignedInput& input) {
  return has_padding(convolution) && std::any_of(input.shifts.begin(), input.shifts.end(),
                                                 [&](float shift) { return is_off_grid(shift, input.scale); });
}

/// Zeros of the padding are rounded like every value, so they must be in the range.
bool can_pad(const onnx::NodeProto& convolution, const plan::AlignedInput& input) {
  if (!needs_pad(convolution, input)) return true;
  const std::string mode = graph::string_attribute(convolution, "auto_pad", "NOTSET");
  return (mode == "NOTSET" || mode.empty()) && std::all_of(input.shifts.begin(), input.shifts.end(), [&](float shift) {
           const double zero = input.zero_point + static_cast<double>(shift) / static_cast<double>(input.scale);
           return zero > -0.5 && zero < kLastLevel + 0.5;
         });
}

const plan::ValuePlan* planned(const plan::PrecisionPlan& plan, const std::string& value) {
  const auto found = std::find_if(plan.values.begin(), plan.values.end(),
                                  [&](const plan::ValuePlan& known) { return known.value == value; });
  return found == plan.values.end() ? nullptr : &*found;
}

bool is_at(const quant::QuantParams& params, const plan::AlignedInput& input) {
  constexpr double kSameScale = 1e-6;  // of 255 steps that is nothing
  const quant::QuantTypeRow& type = quant::row(params.type);
  return std::abs(static_cast<double>(params.scales[0]) / static_cast<double>(input.scale) - 1) < kSameScale &&
         params.zero_points[0] - type.qmin == input.zero_point;
}

/// Values that the plan rounds to 8 bits, whose readers may be aligned.
std::map<std::string, Place> places_of(const graph::GraphIndex& index, const plan::PrecisionPlan& plan) {
  std::map<std::string, Place> places;
  for (const plan::LayerPlan& layer : plan.layers) {
    const onnx::NodeProto* node = index.node(layer.node);
    if (node == nullptr || layer.decision != plan::Decision::kQuantize || layer.op_type != "Conv") continue;
    if (!plan::allows(layer, plan::RecoveryMethod::kAlign)) continue;
    const plan::ValuePlan* value = planned(plan, node->input(0));
    if (value == nullptr || value->params.axis || value->params.scales.size() != 1) continue;
    const quant::QuantTypeRow& type = quant::row(value->params.type);
    if (type.bits != 8 || type.is_float) continue;
    auto place = place_of(index, value->value);
    if (!place) continue;
    const auto& integers = plan.form.integer_io;
    if (std::find(integers.begin(), integers.end(), place->input) == integers.end()) places[value->value] = *place;
  }
  return places;
}

/// What the convolution reads of the value once it is aligned.
std::string aligned_name(const std::string& value) {
  return value + "_aligned";
}

/// [1, C, 1, ...] of the rank that the convolution reads.
Tensor by_channel(const std::vector<float>& numbers, int rank) {
  Shape shape(static_cast<size_t>(rank), 1);
  shape[1] = static_cast<int64_t>(numbers.size());
  return Tensor::of<float>(shape, std::span<const float>(numbers));
}

/// Weights of aligned values: divided by the factors, and the sum of what the shifts add.
struct TakenBack {
  Tensor weight;
  std::vector<double> sums;  // by output
};

TakenBack take_back(const Tensor& weight, const plan::AlignedInput& input) {
  TakenBack result{.weight = Tensor(DataType::kFloat32, weight.shape()),
                   .sums = std::vector<double>(static_cast<size_t>(weight.shape()[0]))};
  const auto from = weight.data<float>();
  const auto to = result.weight.mutable_data<float>();
  const auto channels = static_cast<size_t>(weight.shape()[1]);
  const size_t per_output = from.size() / result.sums.size();
  const size_t taps = per_output / channels;
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t channel = i / taps % channels;
    const double factor = input.factors.empty() ? 1 : static_cast<double>(input.factors[channel]);
    const double shift = input.shifts.empty() ? 0 : static_cast<double>(input.shifts[channel]);
    const double value = static_cast<double>(from[i]) / factor;
    to[i] = static_cast<float>(value);
    result.sums[i / per_output] += value * shift;
  }
  return result;
}

class Aligner {
 public:
  explicit Aligner(graph::Model& model) : model_(model), editor_(model) {}

  void align(const graph::GraphIndex& index, const Place& place, const plan::AlignedInput& input) {
    if (input.factors.empty() && input.shifts.empty()) return;
    onnx::NodeProto& node = *own_node(place.convolution->name());
    const Tensor weight = constant(node.input(1));
    const int rank = static_cast<int>(weight.shape().size());
    start(index, input.value);
    if (needs_pad(node, input)) pad(node, input, rank);
    if (!input.factors.empty()) {
      add("Mul", {value_, editor_.add_initializer(input.value + "_factors", by_channel(input.factors, rank))},
          input.shifts.empty());
    }
    if (!input.shifts.empty()) {
      add("Add", {value_, editor_.add_initializer(input.value + "_shifts", by_channel(input.shifts, rank))}, true);
    }
    own_node(place.convolution->name())->set_input(0, value_);
    change_constants(*own_node(place.convolution->name()), weight, input);
  }

  void finish() { editor_.finish(); }

 private:
  /// Nodes move when others are added.
  onnx::NodeProto* own_node(const std::string& name) {
    auto& nodes = *model_.mutable_graph().mutable_node();
    const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const auto& node) { return node.name() == name; });
    ensure(found != nodes.end(), "the convolution is in its model");
    return &*found;
  }

  Tensor constant(const std::string& name) const {
    const graph::GraphIndex index(model_.graph());
    return model_.tensor(*index.initializer(name));
  }

  void add(const std::string& op_type, const std::vector<std::string>& inputs, bool is_last) {
    const std::string output = is_last ? last_ : editor_.unique_name(last_ + "_" + op_type + "_output");
    editor_.add_node(op_type, last_ + "_" + op_type, inputs, {output});
    value_ = output;
    info_.set_name(output);
    *model_.mutable_graph().add_value_info() = info_;
  }

  /// As float32 of the shape of `value`, where that is known.
  void start(const graph::GraphIndex& index, const std::string& value) {
    value_ = value;
    last_ = aligned_name(value);
    info_ = {};
    auto& tensor = *info_.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx::TensorProto::FLOAT);
    const graph::ValueType type = index.type(value);
    if (!type.shape) return;
    for (const int64_t size : *type.shape) {
      auto& dimension = *tensor.mutable_shape()->add_dim();
      if (size >= 0) dimension.set_dim_value(size);
    }
  }

  void pad(onnx::NodeProto& node, const plan::AlignedInput& input, int rank) {
    const std::vector<int64_t> pads = graph::ints_attribute(node, "pads");
    const auto axes = static_cast<size_t>(rank - 2);
    std::vector<int64_t> all(static_cast<size_t>(rank) * 2, 0);
    for (size_t i = 0; i < axes; ++i) {
      all[2 + i] = pads[i];
      all[static_cast<size_t>(rank) + 2 + i] = pads[axes + i];
      widen(2 + i, pads[i] + pads[axes + i]);
    }
    graph::set_ints_attribute(node, "pads", std::vector<int64_t>(pads.size(), 0));
    const Tensor amounts = Tensor::of<int64_t>({rank * 2}, std::span<const int64_t>(all));
    add("Pad", {value_, editor_.add_initializer(input.value + "_pads", amounts)}, false);
  }

  void widen(size_t axis, int64_t amount) {
    auto& tensor = *info_.mutable_type()->mutable_tensor_type();
    if (!tensor.has_shape()) return;
    auto& dimension = *tensor.mutable_shape()->mutable_dim(static_cast<int>(axis));
    if (dimension.has_dim_value()) dimension.set_dim_value(dimension.dim_value() + amount);
  }

  void change_constants(onnx::NodeProto& node, const Tensor& weight, const plan::AlignedInput& input) {
    TakenBack taken = take_back(weight, input);
    const bool has_bias = node.input_size() > static_cast<int>(kBias) && !node.input(kBias).empty();
    Tensor bias(DataType::kFloat32, {static_cast<int64_t>(taken.sums.size())});
    const Tensor before = has_bias ? constant(node.input(kBias)) : Tensor();
    for (size_t i = 0; i < taken.sums.size(); ++i) {
      const double old = has_bias ? static_cast<double>(before.data<float>()[i]) : 0;
      bias.mutable_data<float>()[i] = static_cast<float>(old - taken.sums[i]);
    }
    node.set_input(1, editor_.add_initializer(node.input(1) + "_aligned", taken.weight));
    while (node.input_size() <= static_cast<int>(kBias)) node.add_input("");
    const std::string wanted = has_bias ? node.input(kBias) + "_aligned" : node.name() + "_aligned_bias";
    node.set_input(kBias, editor_.add_initializer(wanted, bias));
  }

  graph::Model& model_;
  graph::GraphEditor editor_;
  std::string value_;          // that the next added node reads
  std::string last_;           // that the convolution reads
  onnx::ValueInfoProto info_;  // of what the next added node makes
};

/// What the convolution reads in the aligned model.
std::string read_in(const graph::GraphIndex& aligned, const plan::AlignedInput& input) {
  const bool moved = !input.factors.empty() || !input.shifts.empty();
  const std::string name = moved ? aligned_name(input.value) : input.value;
  ensure(aligned.has_value(name), "the model is aligned");
  return name;
}

}  // namespace

std::vector<plan::AlignedInput> find_grids(const graph::Model& model, const plan::PrecisionPlan& plan,
                                           const Samples& samples, int workers) {
  const graph::GraphIndex index(model.graph());
  const std::map<std::string, Place> places = places_of(index, plan);
  if (places.empty()) return {};
  std::vector<plan::AlignedInput> inputs;
  for (const auto& [value, levels] : levels_of(places, samples, workers)) {
    auto aligned = align_channels(value, levels);
    if (!aligned || !can_pad(*places.at(value).convolution, *aligned)) continue;
    const bool is_there =
        aligned->factors.empty() && aligned->shifts.empty() && is_at(planned(plan, value)->params, *aligned);
    if (!is_there && !index.has_value(aligned_name(value))) inputs.push_back(std::move(*aligned));
  }
  return inputs;
}

graph::Model align(const graph::Model& model, const std::vector<plan::AlignedInput>& inputs) {
  graph::Model result = model;
  const graph::GraphIndex index(model.graph());
  Aligner aligner(result);
  for (const plan::AlignedInput& input : inputs) {
    const auto place = place_of(index, input.value);
    const auto fits = [&](const std::vector<float>& numbers) {
      return numbers.empty() || static_cast<int64_t>(numbers.size()) == place->channels;
    };
    if (!place || !fits(input.factors) || !fits(input.shifts) || !can_pad(*place->convolution, input) ||
        index.has_value(aligned_name(input.value))) {
      throw Error(ErrorKind::kUsage,
                  "align: no single convolution with constant weights and these channels reads a model input '{}'",
                  input.value);
    }
    aligner.align(index, *place, input);
  }
  aligner.finish();
  return result;
}

namespace {

bool keeps_match(const plan::Match& match) {
  if (match.tensor || match.min_depth || match.max_depth || match.between) return false;
  const auto keep_all = [](const std::vector<plan::Match>& parts) {
    return std::all_of(parts.begin(), parts.end(), keeps_match);
  };
  return keep_all(match.all) && keep_all(match.any) && keep_all(match.none);
}

}  // namespace

bool keeps_rules(const plan::Rules& rules) {
  return std::all_of(rules.rules.begin(), rules.rules.end(),
                     [](const plan::Rule& rule) { return keeps_match(rule.match); });
}

plan::Rules rules_behind(const graph::Model& aligned, const std::vector<plan::AlignedInput>& inputs,
                         plan::Rules rules) {
  const graph::GraphIndex index(aligned.graph());
  for (const plan::AlignedInput& input : inputs) {
    for (std::string value = read_in(index, input); value != input.value; value = index.producer(value)->input(0)) {
      plan::Rule rule{.match = plan::match_name(index.producer(value)->name()), .text = "recovery (align)"};
      rule.set.keep_float = true;
      rule.set.keep_reason = "it sets the input on the grid of its integers";
      rules.rules.push_back(std::move(rule));
    }
  }
  return rules;
}

void set_grids(const graph::Model& aligned, const std::vector<plan::AlignedInput>& inputs, plan::Ranges& ranges) {
  const graph::GraphIndex index(aligned.graph());
  const analyze::Analysis analysis = analyze::analyze(aligned);
  for (const plan::AlignedInput& input : inputs) {
    const auto group = analysis.group_of.find(read_in(index, input));
    if (group == analysis.group_of.end()) continue;
    const double scale = static_cast<double>(input.scale);
    ranges[analysis.groups[group->second].representative] = {
        .range = {static_cast<float>(-input.zero_point * scale),
                  static_cast<float>((kLastLevel - input.zero_point) * scale)},
        .calibrator = "align",
        .unusable = {}};
  }
}

bool on_grids(const plan::PrecisionPlan& plan, const std::vector<plan::AlignedInput>& inputs,
              const plan::PrecisionPlan& before) {
  return std::all_of(inputs.begin(), inputs.end(), [&](const plan::AlignedInput& input) {
    const plan::ValuePlan* moved = planned(plan, aligned_name(input.value));
    const plan::ValuePlan* value = moved != nullptr ? moved : planned(plan, input.value);
    // A rule may have given the convolution's input another type than the nodes in front of it have.
    const plan::ValuePlan* old = planned(before, input.value);
    return value != nullptr && is_at(value->params, input) && old != nullptr && old->params.type == value->params.type;
  });
}

}  // namespace narrow::recover
