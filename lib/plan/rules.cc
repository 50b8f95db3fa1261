#include "lib/plan/rules.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "lib/base/error.h"
#include "lib/base/suggest.h"
#include "lib/plan/name_pattern.h"

namespace narrow::plan {
namespace {

class Matcher {
 public:
  explicit Matcher(const Match& match) : match_(match) {
    if (match.regex) regex_.emplace(*match.regex);
  }
  bool matches(const analyze::Layer& layer) const {
    if (match_.name && ::fnmatch(match_.name->c_str(), layer.node.c_str(), 0) != 0) return false;
    if (regex_ && !regex_->matches(layer.node)) return false;
    return !match_.op || *match_.op == layer.op_type;
  }

 private:
  const Match& match_;
  std::optional<NamePattern> regex_;
};

template <class T>
void apply(const std::optional<T>& from, T& to) {
  if (from) to = *from;
}

[[noreturn]] void fail_unmatched(const analyze::Analysis& analysis, const Rules& rules, const Rule& rule) {
  std::vector<std::string> names;
  std::vector<std::string> ops;
  for (const analyze::Layer& layer : analysis.layers) {
    names.push_back(layer.node);
    ops.push_back(layer.op_type);
  }
  std::string suggestion;
  if (rule.match.op) suggestion = did_you_mean(*rule.match.op, ops);
  if (rule.match.name && suggestion.empty()) suggestion = did_you_mean(*rule.match.name, names);
  const std::string source = rules.source.empty() ? "" : rules.source + ": ";
  throw Error(ErrorKind::kUsage, "{}{} matches no node{}", source, rule.text, suggestion);
}

}  // namespace

void apply_patch(const SchemePatch& patch, LayerScheme& scheme) {
  apply(patch.mode, scheme.mode);
  apply(patch.weights, scheme.weights);
  apply(patch.weights_symmetric, scheme.weights_symmetric);
  apply(patch.reduce_range, scheme.reduce_range);
  if (patch.weight_fit) scheme.weight_fit = patch.weight_fit;
  apply(patch.granularity, scheme.granularity);
  apply(patch.block, scheme.block);
  apply(patch.activations, scheme.activations);
  apply(patch.activations_symmetric, scheme.activations_symmetric);
  apply(patch.calibrator, scheme.calibrator);
  apply(patch.keep_float, scheme.keep_float);
  apply(patch.keep_reason, scheme.keep_reason);
}

std::string_view granularity_name(Granularity granularity) {
  switch (granularity) {
    case Granularity::kPerTensor:
      return "per_tensor";
    case Granularity::kPerChannel:
      return "per_channel";
    case Granularity::kPerBlock:
      return "per_block";
  }
  return "";
}

std::string_view weight_fit_name(quant::WeightFit fit) {
  return fit == quant::WeightFit::kExtremes ? "minmax" : "mse";
}

std::string granularity_text(const LayerScheme& scheme) {
  std::string text(granularity_name(scheme.granularity));
  std::replace(text.begin(), text.end(), '_', ' ');
  if (scheme.granularity == Granularity::kPerBlock) text += fmt::format(" of {}", scheme.block);
  return text;
}

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::kStatic:
      return "static";
    case Mode::kWeightOnly:
      return "weight_only";
  }
  return "";
}

std::vector<Resolved> resolve_rules(const analyze::Analysis& analysis, const Rules& rules) {
  std::vector<Resolved> resolved(analysis.layers.size(), Resolved{rules.defaults, "defaults"});
  for (const Rule& rule : rules.rules) {
    const Matcher matcher(rule.match);
    bool matched = false;
    for (size_t i = 0; i < resolved.size(); ++i) {
      if (!matcher.matches(analysis.layers[i])) continue;
      matched = true;
      apply_patch(rule.set, resolved[i].scheme);
      resolved[i].rule = rule.text;
    }
    if (!matched) fail_unmatched(analysis, rules, rule);
  }
  return resolved;
}

}  // namespace narrow::plan
