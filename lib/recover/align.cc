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
#include "lib/graph/graph_index.h"
#include "lib/recover/align_place.h"
#include "lib/recover/level_grid.h"
#include "lib/recover/ordered_samples.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostSamples = 32;

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
