#include "lib/tune/effect.h"

#include <cmath>
#include <limits>

#include "lib/base/error.h"
#include "lib/tune/scores.h"
#include "lib/validate/scores.h"

namespace narrow::tune {
namespace {

constexpr double kBroken = 1e6;  // noise of what gives NaN or infinity, or noise where there was no signal

double noise_of(const ErrorStatistics& statistics) {
  const double sqnr = statistics.sqnr_db();
  if (std::isnan(sqnr) || (std::isinf(sqnr) && sqnr < 0)) return kBroken;
  return std::isinf(sqnr) ? 0 : std::pow(10.0, -sqnr / 10);
}

double share(int64_t part, int64_t all) {
  return static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

double Effect::sqnr_db() const {
  return noise > 0 ? -10 * std::log10(noise) : std::numeric_limits<double>::infinity();
}

EffectMeter::EffectMeter(const graph::Model& model, std::vector<Outputs> reference,
                         std::optional<std::vector<int64_t>> labels)
    : reference_(std::move(reference)), labels_(std::move(labels)) {
  for (const onnx::ValueInfoProto& output : model.graph().output()) outputs_.push_back(output.name());
  for (const std::string& output : outputs_) makes_scores_.push_back(validate::makes_scores(model, output));
  if (!labels_) return;
  if (labels_->size() != reference_.size()) {
    throw Error(ErrorKind::kUsage, "{} labels for {} samples", labels_->size(), reference_.size());
  }
  label_output_ = find_label_output();
}

std::string EffectMeter::find_label_output() const {
  for (const std::string& output : outputs_) {
    if (reference_.empty()) break;
    const auto found = reference_.front().find(output);
    if (found != reference_.front().end() && validate::score_rows(found->second)) return output;
  }
  throw Error(ErrorKind::kUsage, "there are labels, but no output looks like class scores");
}

EffectMeter::Errors EffectMeter::compare(size_t sample, const Outputs& actual) const {
  Errors errors;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const auto found = actual.find(outputs_[i]);
    errors.outputs.emplace_back();
    if (found == actual.end()) continue;
    const Tensor& reference = reference_[sample].at(outputs_[i]);
    errors.outputs.back() = validate::compare(outputs_[i], reference, found->second).value_or(ErrorStatistics{});
    if (outputs_[i] == label_output_) errors.hits.add(reference, found->second, (*labels_)[sample]);
    if (!makes_scores_[i]) continue;
    errors.divergence += divergence(reference, found->second);
    const auto agreed = validate::agreement(reference, found->second).value_or(validate::Agreement{});
    errors.agreement.rows += agreed.rows;
    errors.agreement.equal += agreed.equal;
  }
  return errors;
}

Effect EffectMeter::sum(const std::vector<Errors>& samples) const {
  Effect effect;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    ErrorStatistics statistics;
    for (const Errors& sample : samples) statistics.add(sample.outputs[i]);
    effect.noise += noise_of(statistics) / static_cast<double>(outputs_.size());
  }
  validate::Agreement agreed;
  validate::LabelHits hits;
  double divergences = 0;
  for (const Errors& sample : samples) {
    agreed.rows += sample.agreement.rows;
    agreed.equal += sample.agreement.equal;
    divergences += sample.divergence;
    hits.add(sample.hits);
  }
  if (agreed.rows > 0) {
    effect.agreement = share(agreed.equal, agreed.rows);
    effect.divergence = divergences / static_cast<double>(agreed.rows);
  }
  if (hits.samples > 0) effect.top1 = share(hits.top1_quantized, hits.samples);
  return effect;
}

}  // namespace narrow::tune
