#include "lib/tune/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "lib/base/error.h"
#include "lib/graph/graph_index.h"
#include "lib/quant/quant_params.h"
#include "lib/recover/unit.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/metrics.h"
#include "lib/tune/each_sample.h"
#include "lib/tune/scores.h"
#include "lib/validate/compare.h"
#include "lib/validate/scores.h"

namespace narrow::tune {
namespace {

constexpr size_t kRowsBetweenKeeps = 25;
constexpr double kBroken = 1e6;  // noise of what gives NaN or infinity, or noise where there was no signal

Tensor rounded(const Tensor& tensor, const Component& component, const quant::QuantParams& params) {
  if (component.half) {
    Workspace workspace;
    return convert_elements(convert_elements(tensor, *component.half, workspace), DataType::kFloat32, workspace);
  }
  return quant::dequantize(quant::quantize(to_layout(tensor, Layout::kPlain), params), params);
}

double noise_of(const ErrorStatistics& statistics) {
  const double sqnr = statistics.sqnr_db();
  if (std::isnan(sqnr) || (std::isinf(sqnr) && sqnr < 0)) return kBroken;
  return std::isinf(sqnr) ? 0 : std::pow(10.0, -sqnr / 10);
}

/// Of one sample.
struct OutputErrors {
  std::vector<ErrorStatistics> outputs;
  double divergence = 0;
  validate::Agreement agreement;
};

class Meter {
 public:
  Meter(const graph::Model& model, const recover::Samples& samples, int workers)
      : model_(model),
        index_(model.graph()),
        bodies_(model.graph(), graph::Depth::kBodies),
        workers_(workers),
        live_(static_cast<size_t>(samples.count)) {
    const onnx::GraphProto& graph = model.graph();
    for (int i = 0; i < graph.node_size(); ++i) {
      number_[graph.node(i).name()] = static_cast<size_t>(i);
      for (const std::string& value : graph::reads_of(graph.node(i))) last_use_[value] = static_cast<size_t>(i);
    }
    for (const onnx::ValueInfoProto& output : graph.output()) outputs_.push_back(output.name());
    for (const std::string& output : outputs_) {
      makes_scores_.push_back(validate::makes_scores(model, output));
    }
    each_sample(samples.count, workers_, [&](size_t sample, Workspace&) {
      for (auto& [name, tensor] : samples.read(static_cast<int64_t>(sample))) live_[sample].emplace(name, tensor);
    });
    reference_.resize(live_.size());
    const Suffix all = suffix({});
    each_sample(count(), workers_, [&](size_t sample, Workspace& workspace) {
      reference_[sample] = all.outputs(live_[sample], workspace);
    });
  }

  /// The node that the component's effect begins at.
  size_t position(const Component& component) const {
    if (component.node.empty()) return 0;
    return number_.at(component.node) + (component.constant ? 0 : 1);
  }

  /// Components come in the order of their positions.
  Effect measure(const Component& component) {
    advance(position(component));
    recover::ConstantOverrides overrides;
    if (component.constant) {
      round_constant(component.tensor, component, component.params, overrides);
      for (size_t i = 0; i < component.more.size(); ++i) {
        const bool own = i < component.more_params.size();
        round_constant(component.more[i], component, own ? component.more_params[i] : component.params, overrides);
      }
    }
    const Suffix changed = suffix(overrides);
    std::vector<OutputErrors> errors(live_.size());
    each_sample(count(), workers_, [&](size_t sample, Workspace& workspace) {
      exec::Feed feed = live_[sample];
      if (!component.constant) {
        Tensor& value = feed.at(component.tensor);
        value = rounded(value, component, component.params);
      }
      errors[sample] = compare(sample, changed.outputs(feed, workspace));
    });
    return sum(errors);
  }

 private:
  void round_constant(const std::string& name, const Component& component, const quant::QuantParams& params,
                      recover::ConstantOverrides& to) const {
    to[name] = rounded(model_.tensor(*bodies_.initializer(name)), component, params);
  }

  using Outputs = std::map<std::string, Tensor>;

  struct Suffix {
    exec::Program program;
    std::vector<std::string> made;    // outputs that the program makes
    std::vector<std::string> passed;  // outputs that are among what it is fed

    Outputs outputs(const exec::Feed& values, Workspace& workspace) const {
      Outputs result;
      for (const std::string& name : passed) result.emplace(name, values.at(name));
      if (made.empty()) return result;
      exec::Feed feed;
      for (const std::string& name : program.input_names()) feed.emplace(name, values.at(name));
      std::vector<Tensor> tensors = program.run(feed, workspace);
      for (size_t i = 0; i < made.size(); ++i) result.emplace(made[i], std::move(tensors[i]));
      return result;
    }
  };

  int64_t count() const { return static_cast<int64_t>(live_.size()); }

  recover::Unit nodes(size_t begin, size_t end) const {
    recover::Unit unit;
    for (size_t i = begin; i < end; ++i) unit.nodes.push_back(&model_.graph().node(static_cast<int>(i)));
    return unit;
  }

  size_t node_count() const { return static_cast<size_t>(model_.graph().node_size()); }

  Suffix suffix(const recover::ConstantOverrides& overrides) const {
    Suffix result;
    for (const std::string& output : outputs_) {
      const onnx::NodeProto* producer = index_.producer(output);
      const bool follows = producer != nullptr && number_.at(producer->name()) >= at_;
      const bool constant = index_.initializer(output) != nullptr;
      if (follows) {
        result.made.push_back(output);
      } else if (!constant) {
        result.passed.push_back(output);
      }
    }
    if (result.made.empty()) return result;
    result.program = recover::compile_unit(model_, index_, nodes(at_, node_count()), result.made, overrides);
    return result;
  }

  /// Computes the float values up to a node and lets go of those that nothing after it reads.
  void advance(size_t to) {
    ensure(to >= at_, "components come in order");
    if (to == at_) return;
    const recover::Unit unit = nodes(at_, to);
    std::vector<std::string> wanted;
    for (const onnx::NodeProto* node : unit.nodes) {
      for (const std::string& value : node->output()) {
        if (!value.empty() && needed(value, to)) wanted.push_back(value);
      }
    }
    at_ = to;
    if (wanted.empty()) return;
    const exec::Program program = recover::compile_unit(model_, index_, unit, wanted, {});
    each_sample(count(), workers_, [&](size_t sample, Workspace& workspace) {
      exec::Feed& live = live_[sample];
      exec::Feed feed;
      for (const std::string& name : program.input_names()) feed.emplace(name, live.at(name));
      std::vector<Tensor> tensors = program.run(feed, workspace);
      for (size_t i = 0; i < wanted.size(); ++i) live[wanted[i]] = std::move(tensors[i]);
      std::erase_if(live, [&](const auto& entry) { return !needed(entry.first, to); });
    });
  }

  bool needed(const std::string& value, size_t from) const {
    const auto found = last_use_.find(value);
    return (found != last_use_.end() && found->second >= from) || index_.is_output(value);
  }

  OutputErrors compare(size_t sample, const Outputs& actual) const {
    OutputErrors errors;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const auto found = actual.find(outputs_[i]);
      errors.outputs.emplace_back();
      if (found == actual.end()) continue;
      const Tensor& reference = reference_[sample].at(outputs_[i]);
      errors.outputs.back() = validate::compare(outputs_[i], reference, found->second).value_or(ErrorStatistics{});
      if (!makes_scores_[i]) continue;
      errors.divergence += divergence(reference, found->second);
      const auto agreed = validate::agreement(reference, found->second).value_or(validate::Agreement{});
      errors.agreement.rows += agreed.rows;
      errors.agreement.equal += agreed.equal;
    }
    return errors;
  }

  Effect sum(const std::vector<OutputErrors>& errors) const {
    Effect effect;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      ErrorStatistics statistics;
      for (const OutputErrors& sample : errors) statistics.add(sample.outputs[i]);
      effect.noise += noise_of(statistics) / static_cast<double>(outputs_.size());
    }
    validate::Agreement agreed;
    double divergences = 0;
    for (const OutputErrors& sample : errors) {
      agreed.rows += sample.agreement.rows;
      agreed.equal += sample.agreement.equal;
      divergences += sample.divergence;
    }
    if (agreed.rows > 0) {
      effect.agreement = static_cast<double>(agreed.equal) / static_cast<double>(agreed.rows);
      effect.divergence = divergences / static_cast<double>(agreed.rows);
    }
    return effect;
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  graph::GraphIndex bodies_;
  int workers_;
  std::vector<std::string> outputs_;
  std::vector<bool> makes_scores_;
  std::unordered_map<std::string, size_t> number_;    // of nodes
  std::unordered_map<std::string, size_t> last_use_;  // value -> last node that reads it
  size_t at_ = 0;
  std::vector<exec::Feed> live_;    // by sample: float values in front of node at_
  std::vector<Outputs> reference_;  // by sample
};

}  // namespace

double Effect::sqnr_db() const {
  return noise > 0 ? -10 * std::log10(noise) : std::numeric_limits<double>::infinity();
}

Sensitivity measure_sensitivity(const graph::Model& model, const std::vector<Component>& components,
                                const recover::Samples& samples, Sensitivity known, const SensitivityOptions& options) {
  std::vector<const Component*> missing;
  for (const Component& component : components) {
    if (!known.contains(component.key)) missing.push_back(&component);
  }
  if (missing.empty()) return known;
  ensure(samples.count > 0, "sensitivity has samples");
  Meter meter(model, samples, options.workers);
  std::stable_sort(missing.begin(), missing.end(),
                   [&](const Component* a, const Component* b) { return meter.position(*a) < meter.position(*b); });
  try {
    for (size_t i = 0; i < missing.size(); ++i) {
      check_interruption();
      known[missing[i]->key] = meter.measure(*missing[i]);
      if (options.keep && (i + 1) % kRowsBetweenKeeps == 0) options.keep(known);
      if (options.progress) {
        options.progress("sensitivity", static_cast<int64_t>(i + 1), static_cast<int64_t>(missing.size()));
      }
    }
  } catch (...) {
    if (options.keep) options.keep(known);
    throw;
  }
  return known;
}

}  // namespace narrow::tune
