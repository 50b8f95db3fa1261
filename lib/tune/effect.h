// What a change of a model does to its outputs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/graph/model.h"
#include "lib/tensor/metrics.h"
#include "lib/tensor/tensor.h"
#include "lib/validate/compare.h"
#include "lib/validate/labels.h"

namespace narrow::tune {

/// Against the float model.
struct Effect {
  double noise = 0;                  // noise power over signal power at the outputs, mean over them
  std::optional<double> divergence;  // of outputs with class scores: mean sum p log(p / q) in nats
  std::optional<double> agreement;   // share of rows whose best class stays
  std::optional<double> top1;        // share of samples whose best class is their label

  double sqnr_db() const;  // +infinity without noise
};

/// By name.
using Outputs = std::map<std::string, Tensor>;

/// Compares outputs with the float model's, sample by sample.
class EffectMeter {
 public:
  /// Of one sample.
  struct Errors {
    std::vector<ErrorStatistics> outputs;
    double divergence = 0;
    validate::Agreement agreement;
    validate::LabelHits hits;
  };

  /// `reference`: the float model's outputs of each sample. `labels`: the classes of the samples.
  /// Throws Error(kUsage) if there are labels but no scores, or another number of them.
  EffectMeter(const graph::Model& model, std::vector<Outputs> reference, std::optional<std::vector<int64_t>> labels);

  /// Outputs that `actual` does not hold count as equal. Throws Error(kData) for labels that do not fit the scores.
  Errors compare(size_t sample, const Outputs& actual) const;
  /// Over samples in order.
  Effect sum(const std::vector<Errors>& samples) const;

 private:
  std::string find_label_output() const;

  std::vector<std::string> outputs_;
  std::vector<bool> makes_scores_;  // by output
  std::vector<Outputs> reference_;  // by sample
  std::optional<std::vector<int64_t>> labels_;
  std::string label_output_;  // with labels: the first that looks like class scores
};

}  // namespace narrow::tune
