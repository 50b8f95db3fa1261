#include "lib/tune/rounded_runs.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "lib/base/error.h"
#include "lib/quant/quant_params.h"
#include "lib/tensor/convert.h"
#include "lib/tune/each_sample.h"

namespace narrow::tune {
namespace {

/// As DynamicQuantizeLinear has it: by its extremes and 0.
Tensor rounded_by_extremes(const Tensor& tensor) {
  constexpr float kSteps = 255;
  float low = 0;
  float high = 0;
  for (const float x : tensor.data<float>()) {
    low = std::min(low, x);
    high = std::max(high, x);
  }
  const float scale = (high - low) / kSteps;
  if (!(scale > 0) || !std::isfinite(scale)) return tensor;
  const auto zero = static_cast<int32_t>(std::nearbyint(std::clamp(-low / scale, 0.0F, kSteps)));
  const quant::QuantParams params{.type = quant::QuantType::kUint8, .scales = {scale}, .zero_points = {zero}};
  return quant::dequantize(quant::quantize(tensor, params), params);
}

Tensor rounded_tensor(const Tensor& tensor, const Component& component, const quant::QuantParams& params) {
  if (component.dynamic) return rounded_by_extremes(to_layout(tensor, Layout::kPlain));
  if (component.half) {
    Workspace workspace;
    return convert_elements(convert_elements(to_layout(tensor, Layout::kPlain), *component.half, workspace),
                            DataType::kFloat32, workspace);
  }
  return quant::dequantize(quant::quantize(to_layout(tensor, Layout::kPlain), params), params);
}

}  // namespace

RoundedRuns::RoundedRuns(const graph::Model& model, const std::vector<Component>& components,
                         const recover::Samples& samples, std::optional<std::vector<int64_t>> labels, int workers)
    : model_(model),
      components_(components),
      samples_(samples),
      index_(model.graph()),
      bodies_(model.graph(), graph::Depth::kBodies),
      workers_(workers),
      live_(static_cast<size_t>(samples.count)) {
  cut();
  for (size_t i = 0; i < components_.size(); ++i) place(i);
  begin(Rounded(components_.size(), false));
  advance(segments_.size());
  std::vector<Outputs> reference;
  for (const exec::Feed& values : live_) {
    reference.push_back(outputs_of(values));
    for (auto& [name, tensor] : reference.back()) tensor = to_layout(tensor, Layout::kPlain);
  }
  meter_.emplace(model, std::move(reference), std::move(labels));
}

void RoundedRuns::cut() {
  const onnx::GraphProto& graph = model_.graph();
  const auto count = static_cast<size_t>(graph.node_size());
  for (size_t i = 0; i < count; ++i) number_[graph.node(static_cast<int>(i)).name()] = i;
  std::set<size_t> starts{0};
  for (const Component& component : components_) {
    if (component.node.empty()) continue;
    if (component.constant || component.dynamic) starts.insert(number_.at(component.node));
    if (!component.constant) starts.insert(number_.at(component.node) + 1);
  }
  starts.erase(count);
  starts_.assign(starts.begin(), starts.end());
  if (count == 0) starts_.clear();
  for (size_t s = 0; s < starts_.size(); ++s) {
    Segment& segment = segments_.emplace_back();
    const size_t end = s + 1 < starts_.size() ? starts_[s + 1] : count;
    for (size_t i = starts_[s]; i < end; ++i) {
      const onnx::NodeProto& node = graph.node(static_cast<int>(i));
      segment.unit.nodes.push_back(&node);
      for (const std::string& value : graph::reads_of(node)) last_use_[value] = s;
    }
  }
  for (size_t s = 0; s < segments_.size(); ++s) {
    for (const onnx::NodeProto* node : segments_[s].unit.nodes) {
      for (const std::string& value : node->output()) {
        const auto found = last_use_.find(value);
        const bool read_later = found != last_use_.end() && found->second > s;
        if (!value.empty() && (read_later || index_.is_output(value))) segments_[s].kept.push_back(value);
      }
    }
  }
}

size_t RoundedRuns::segment_of(const std::string& node) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), number_.at(node));
  return static_cast<size_t>(after - starts_.begin()) - 1;
}

void RoundedRuns::place(size_t component) {
  const Component& placed = components_[component];
  if (placed.node.empty()) {
    inputs_.push_back(component);
  } else if (placed.dynamic) {
    segments_[segment_of(placed.node)].reads.push_back(component);
  } else if (!placed.constant) {
    segments_[segment_of(placed.node)].values.push_back(component);
  } else if (!placed.for_all) {
    segments_[segment_of(placed.node)].constants.push_back(component);
  } else {
    std::set<size_t> readers;
    for (const graph::Use& use : index_.uses(placed.tensor)) readers.insert(segment_of(use.node->name()));
    readers.insert(segment_of(placed.node));
    for (const size_t reader : readers) segments_[reader].constants.push_back(component);
  }
}

void RoundedRuns::begin(Rounded base) {
  ensure(base.size() == components_.size(), "a run says of each component whether it is rounded");
  for (Segment& segment : segments_) {
    if (segment.program && differs(segment, base)) segment.program.reset();
  }
  base_ = std::move(base);
  at_ = 0;
  read_inputs();
}

void RoundedRuns::read_inputs() {
  each_sample(samples_.count, workers_,
              [&](size_t sample, Workspace&) { live_[sample] = samples_.read(static_cast<int64_t>(sample)); });
}

bool RoundedRuns::differs(const Segment& segment, const Rounded& rounded) const {
  return std::any_of(segment.constants.begin(), segment.constants.end(),
                     [&](size_t component) { return rounded[component] != base_[component]; });
}

size_t RoundedRuns::position(const Rounded& rounded) const {
  const auto other = [&](size_t component) { return rounded[component] != base_[component]; };
  if (std::any_of(inputs_.begin(), inputs_.end(), other)) return 0;
  for (size_t s = 0; s < segments_.size(); ++s) {
    const Segment& segment = segments_[s];
    if (differs(segment, rounded) || std::any_of(segment.values.begin(), segment.values.end(), other) ||
        std::any_of(segment.reads.begin(), segment.reads.end(), other)) {
      return s;
    }
  }
  return segments_.size();
}

std::unique_ptr<recover::UnitProgram> RoundedRuns::compile(const Segment& segment, const Rounded& rounded) const {
  recover::ConstantOverrides overrides;
  for (const size_t index : segment.constants) {
    if (!rounded[index]) continue;
    const Component& component = components_[index];
    const auto add = [&](const std::string& name, const quant::QuantParams& params) {
      overrides[name] = rounded_tensor(model_.tensor(*bodies_.initializer(name)), component, params);
    };
    add(component.tensor, component.params);
    for (size_t i = 0; i < component.more.size(); ++i) {
      add(component.more[i], i < component.more_params.size() ? component.more_params[i] : component.params);
    }
  }
  return std::make_unique<recover::UnitProgram>(model_, index_, segment.unit,
                                                recover::UnitProgram::Values{.outputs = segment.kept}, overrides);
}

const recover::UnitProgram* RoundedRuns::base_program(Segment& segment) {
  if (segment.kept.empty()) return nullptr;
  if (!segment.program) segment.program = compile(segment, base_);
  return segment.program.get();
}

void RoundedRuns::round(const std::vector<size_t>& components, const Rounded& rounded, exec::Feed& feed) const {
  for (const size_t index : components) {
    if (!rounded[index]) continue;
    const auto found = feed.find(components_[index].tensor);
    if (found != feed.end()) {
      found->second = rounded_tensor(found->second, components_[index], components_[index].params);
    }
  }
}

/// Programs of the segments in [range.first, range.second), over the values in front of the first of them.
void RoundedRuns::run(const Programs& programs, std::pair<size_t, size_t> range, const Rounded& rounded,
                      exec::Feed& values, Workspace& workspace) const {
  if (range.first == 0) round(inputs_, rounded, values);
  for (size_t s = range.first; s < range.second; ++s) {
    const Segment& segment = segments_[s];
    const recover::UnitProgram* program = programs[s - range.first];
    if (program == nullptr) continue;
    exec::Feed feed;
    for (const std::string& name : program->input_names()) feed.emplace(name, values.at(name));
    round(segment.reads, rounded, feed);
    std::vector<Tensor> made = program->run(feed, workspace);
    for (size_t i = 0; i < made.size(); ++i) values[segment.kept[i]] = std::move(made[i]);
    round(segment.values, rounded, values);
    std::erase_if(values, [&](const auto& entry) {
      const auto found = last_use_.find(entry.first);
      return (found == last_use_.end() || found->second <= s) && !index_.is_output(entry.first);
    });
  }
}

/// Brings the base's values in front of a segment.
void RoundedRuns::advance(size_t to) {
  ensure(to >= at_, "runs come in the order of their positions");
  if (to == at_) return;
  Programs programs;
  for (size_t s = at_; s < to; ++s) programs.push_back(base_program(segments_[s]));
  each_sample(samples_.count, workers_, [&](size_t sample, Workspace& workspace) {
    run(programs, {at_, to}, base_, live_[sample], workspace);
  });
  at_ = to;
}

Outputs RoundedRuns::outputs_of(const exec::Feed& values) const {
  Outputs outputs;
  for (const onnx::ValueInfoProto& output : model_.graph().output()) {
    const auto found = values.find(output.name());
    if (found != values.end()) outputs.emplace(output.name(), found->second);
  }
  return outputs;
}

Effect RoundedRuns::measure(const Rounded& rounded) {
  advance(position(rounded));
  std::vector<std::unique_ptr<recover::UnitProgram>> changed;
  Programs programs;
  for (size_t s = at_; s < segments_.size(); ++s) {
    Segment& segment = segments_[s];
    if (segment.kept.empty() || !differs(segment, rounded)) {
      programs.push_back(base_program(segment));
    } else {
      programs.push_back(changed.emplace_back(compile(segment, rounded)).get());
    }
  }
  std::vector<EffectMeter::Errors> errors(live_.size());
  each_sample(samples_.count, workers_, [&](size_t sample, Workspace& workspace) {
    exec::Feed values = live_[sample];
    run(programs, {at_, segments_.size()}, rounded, values, workspace);
    errors[sample] = meter_->compare(sample, outputs_of(values));
  });
  return meter_->sum(errors);
}

}  // namespace narrow::tune
