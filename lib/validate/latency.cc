#include "lib/validate/latency.h"

#include <algorithm>
#include <map>

#include "lib/base/median.h"
#include "lib/base/progress.h"

namespace narrow::validate {
namespace {

/// Below this ratio a layer did not get faster: timers and caches move less than that.
constexpr double kFaster = 1.05;
/// A step below it spends its time on being called.
constexpr double kShortSeconds = 8e-6;
/// Products for each element that a layer reads or writes; below it memory decides.
constexpr int64_t kFewProducts = 32;

class Collector : public exec::StepTimer {
 public:
  void begin_run() { at_ = 0; }

  void on_step(const exec::StepInfo& step, std::string_view implementation, double seconds) override {
    if (at_ == steps_.size()) steps_.push_back({.info = step, .implementation = {}, .seconds = {}});
    Samples& samples = steps_[at_++];
    samples.implementation = implementation;
    samples.seconds.push_back(seconds);
  }

  std::vector<StepTime> medians() const {
    std::vector<StepTime> times;
    for (const Samples& samples : steps_) {
      times.push_back(
          {.info = samples.info, .implementation = samples.implementation, .seconds = median(samples.seconds)});
    }
    return times;
  }

 private:
  struct Samples {
    exec::StepInfo info;
    std::string implementation;
    std::vector<double> seconds;
  };
  std::vector<Samples> steps_;  // in the program's order: every run takes the same steps
  size_t at_ = 0;
};

/// Sets of node labels; joining two makes them one.
class Groups {
 public:
  size_t find(const std::string& node) {
    const auto [found, added] = ids_.emplace(node, parents_.size());
    if (added) parents_.push_back(found->second);
    return root(found->second);
  }

  void join(const std::vector<std::string>& nodes) {
    for (const std::string& node : nodes) {
      const size_t first = find(nodes.front());
      parents_[find(node)] = first;
    }
  }

 private:
  size_t root(size_t id) {
    while (parents_[id] != id) id = parents_[id] = parents_[parents_[id]];
    return id;
  }

  std::map<std::string, size_t> ids_;
  std::vector<size_t> parents_;
};

/// A layer's steps in one program.
struct Cost {
  double seconds = 0;
  double most = 0;  // of one step
  std::string implementation;

  void add(const StepTime& step) {
    seconds += step.seconds;
    if (!implementation.empty() && step.seconds <= most) return;
    implementation = step.implementation;
    most = step.seconds;
  }
};

/// A layer as it is put together.
struct Draft {
  LayerLatency layer;
  Cost reference;
  Cost integer;

  LayerLatency finished() {
    layer.float_seconds = reference.seconds;
    layer.float_implementation = std::move(reference.implementation);
    layer.integer_seconds = integer.seconds;
    layer.implementation = std::move(integer.implementation);
    return std::move(layer);
  }
};

bool is_conversion(const LayerLatency& layer) {
  return layer.op_type == "QuantizeLinear" || layer.op_type == "DequantizeLinear";
}

class Explainer {
 public:
  explicit Explainer(const runtime::LoweredModel& lowered) {
    for (const runtime::NodeCoverage& node : lowered.coverage.nodes) nodes_[node.node] = &node;
    for (const runtime::MacCount& count : lowered.mac_counts) {
      products_[lowered.coverage.nodes[count.node].node] = count.per_element;
    }
  }

  void describe(LayerLatency& layer) const {
    int64_t most = -1;
    for (const std::string& node : layer.nodes) {
      const auto found = nodes_.find(node);
      if (found == nodes_.end()) continue;
      const int64_t macs = found->second->macs.value_or(0);
      layer.macs += macs;
      if (macs <= most) continue;
      most = macs;
      layer.node = node;
      layer.op_type = found->second->op_type;
    }
    if (layer.ratio() < kFaster) layer.reason = why(layer);
  }

 private:
  std::optional<Reason> why(const LayerLatency& layer) const {
    if (layer.float_seconds == 0 && is_conversion(layer)) return Reason{ReasonCode::kConversion, {}};
    for (const std::string& node : layer.nodes) {
      const auto found = nodes_.find(node);
      if (found != nodes_.end() && found->second->reason) return found->second->reason;
    }
    if (layer.integer_seconds < kShortSeconds) return Reason{ReasonCode::kShortStep, {}};
    if (layer.macs == 0) return Reason{ReasonCode::kNoProducts, {}};
    const auto products = products_.find(layer.node);
    if (products != products_.end() && products->second < kFewProducts) {
      return Reason{ReasonCode::kFewProducts, std::to_string(products->second)};
    }
    return Reason{ReasonCode::kSlowKernel, layer.implementation};
  }

  std::map<std::string, const runtime::NodeCoverage*> nodes_;
  std::map<std::string, int64_t> products_;  // summed for each element of the result, or of a transposed one's input
};

}  // namespace

StepTimes time_steps(const exec::Program& float_program, const exec::Program& integer_program,
                     const std::vector<exec::Feed>& feeds, int repetitions) {
  Workspace float_workspace;
  Workspace integer_workspace;
  Collector reference;
  Collector integer;
  const auto time = [&](const exec::Program& program, const exec::Feed& feed, Workspace& workspace, Collector& times) {
    for (int i = 0; i < repetitions; ++i) {
      check_interruption();
      times.begin_run();
      program.run(feed, workspace, {.timer = &times});
    }
  };
  for (const exec::Feed& feed : feeds) {
    time(float_program, feed, float_workspace, reference);
    time(integer_program, feed, integer_workspace, integer);
  }
  return {.reference = reference.medians(), .integer = integer.medians()};
}

std::vector<LayerLatency> layer_latencies(const StepTimes& times, const runtime::LoweredModel& lowered) {
  Groups groups;
  for (const auto* steps : {&times.integer, &times.reference}) {
    for (const StepTime& step : *steps) groups.join(step.info.fused);
  }
  std::map<size_t, size_t> places;
  std::vector<Draft> drafts;
  const auto draft_of = [&](const StepTime& step) -> Draft& {
    const auto [place, added] = places.emplace(groups.find(step.info.fused.front()), drafts.size());
    if (added) drafts.emplace_back();
    Draft& draft = drafts[place->second];
    auto& nodes = draft.layer.nodes;
    for (const std::string& node : step.info.fused) {
      if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
    }
    if (added) {
      draft.layer.node = step.info.node;
      draft.layer.op_type = step.info.op_type;
    }
    return draft;
  };
  for (const StepTime& step : times.integer) draft_of(step).integer.add(step);
  for (const StepTime& step : times.reference) draft_of(step).reference.add(step);
  const Explainer explainer(lowered);
  std::vector<LayerLatency> layers;
  for (Draft& draft : drafts) {
    layers.push_back(draft.finished());
    explainer.describe(layers.back());
  }
  return layers;
}

}  // namespace narrow::validate
