#include "lib/plan/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/base/error.h"
#include "lib/base/suggest.h"
#include "lib/plan/scheme_json.h"

namespace narrow::plan {
namespace {

template <class T>
void apply(const std::optional<T>& from, T& to) {
  if (from) to = *from;
}

/// What a rule or the target changed, by comparing the schemes as configs spell them.
void add_trail(const LayerScheme& before, const std::string& rule, Resolved& resolved) {
  const Json was = scheme_json(before).flatten();
  const Json is = scheme_json(resolved.scheme).flatten();
  const auto text = [](const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); };
  for (const auto& [key, value] : is.items()) {
    const auto old = was.find(key);
    if (old != was.end() && *old == value) continue;
    std::string path = key.substr(1);
    std::replace(path.begin(), path.end(), '/', '.');
    resolved.trail.push_back(
        fmt::format("{}: {}{} by {}", path, old == was.end() ? "" : text(*old) + " -> ", text(value), rule));
  }
  if (before.keep_float && !resolved.scheme.keep_float) {
    resolved.trail.push_back(fmt::format("keep: float32 -> none by {}", rule));
  }
}

std::string placed_text(const Rule& rule) {
  return rule.place.empty() ? rule.text : fmt::format("{}: {}", rule.place, rule.text);
}

[[noreturn]] void fail_unmatched(const analyze::Analysis& analysis, const Rule& rule) {
  std::vector<std::string> names;
  std::vector<std::string> ops;
  for (const analyze::Layer& layer : analysis.layers) {
    names.push_back(layer.node);
    ops.push_back(layer.op_type);
  }
  std::string suggestion;
  if (rule.match.op) suggestion = did_you_mean(*rule.match.op, ops);
  if (rule.match.name && suggestion.empty()) suggestion = did_you_mean(*rule.match.name, names);
  throw Error(ErrorKind::kUsage, "{} matches no node{}", placed_text(rule), suggestion);
}

/// It says what a layer becomes, not only how.
bool decides(const SchemePatch& patch) {
  return patch.mode || patch.weights || patch.activations;
}

}  // namespace

void apply_patch(const SchemePatch& patch, LayerScheme& scheme) {
  if (decides(patch) && scheme.keep_float) {  // what was kept before has another match behind it
    scheme.keep_float = false;
    scheme.keep_reason.clear();
  }
  apply(patch.mode, scheme.mode);
  apply(patch.weights, scheme.weights);
  apply(patch.weights_symmetric, scheme.weights_symmetric);
  apply(patch.reduce_range, scheme.reduce_range);
  if (patch.weight_fit) scheme.weight_fit = patch.weight_fit;
  apply(patch.granularity, scheme.granularity);
  apply(patch.block, scheme.block);
  apply(patch.operators, scheme.operators);
  apply(patch.entries, scheme.entries);
  apply(patch.codebook_channels, scheme.codebook_channels);
  apply(patch.rounding, scheme.rounding);
  apply(patch.seed, scheme.seed);
  apply(patch.activations, scheme.activations);
  apply(patch.activations_symmetric, scheme.activations_symmetric);
  apply(patch.calibrator, scheme.calibrator);
  apply(patch.recovery, scheme.recovery);
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

std::string_view operators_name(Operators operators) {
  return operators == Operators::kStandard ? "standard" : "com.microsoft";
}

std::string_view weight_fit_name(quant::WeightFit fit) {
  return fit == quant::WeightFit::kExtremes ? "minmax" : "mse";
}

std::string_view rounding_name(Rounding rounding) {
  if (rounding == Rounding::kStochastic) return "stochastic";
  return rounding == Rounding::kSquant ? "squant" : "half_even";
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
    case Mode::kDynamic:
      return "dynamic";
    case Mode::kWeightOnly:
      return "weight_only";
    case Mode::kFloat16:
      return "float16";
    case Mode::kBfloat16:
      return "bfloat16";
  }
  return "";
}

std::vector<Resolved> resolve_rules(const analyze::Analysis& analysis, const Rules& rules) {
  std::vector<Resolved> resolved(analysis.layers.size(), Resolved{rules.defaults, "defaults", {}});
  for (const Rule& rule : rules.rules) {
    const Matcher matcher = in_context(placed_text(rule), [&] { return Matcher(rule.match, analysis); });
    bool matched = false;
    for (size_t i = 0; i < resolved.size(); ++i) {
      if (!matcher.matches(i)) continue;
      matched = true;
      const LayerScheme before = resolved[i].scheme;
      apply_patch(rule.set, resolved[i].scheme);
      add_trail(before, rule.text, resolved[i]);
      // A rule for how a layer is quantized decides nothing about one that stays float.
      if (!resolved[i].scheme.keep_float || rule.set.keep_float) resolved[i].rule = rule.text;
    }
    if (!matched && !rule.optional) fail_unmatched(analysis, rule);
  }
  const TargetRow& target = row(rules.target);
  for (size_t i = 0; i < resolved.size(); ++i) {
    const LayerScheme before = resolved[i].scheme;
    resolved[i].adapted = adapt(target, analysis.layers[i], resolved[i].scheme);
    add_trail(before, fmt::format("target {}", target.name), resolved[i]);
  }
  return resolved;
}

}  // namespace narrow::plan
