// Measures quantized models on samples that chose nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/model.h"
#include "lib/validate/validate.h"

namespace narrow::tune {

struct Quality {
  double sqnr_db = 0;               // mean over the outputs that differ; +infinity if none does
  double cosine = 1;                // least of the outputs
  std::optional<double> agreement;  // least of the outputs with class scores, in [0, 1]
  /// Percentage points lost: of top-1 where there are labels, else of agreement, else (no output holds scores) of
  /// cosine similarity.
  double drop = 0;
  /// The same as expected from the noise (expected_answers); equal to `drop` without scores.
  double expected_drop = 0;
  /// What other samples may lose: kSureErrors standard errors above the estimate (most_lost; of cosine above `drop`).
  double most_drop = 0;
  double sqnr_error = 0;  // standard error of sqnr_db over the samples
};

/// Keeps feeds and float outputs; the numbers do not depend on the workers.
class Judge {
 public:
  /// `samples` as validate takes them. Throws Error as validate does.
  Judge(const graph::Model& float_model, const validate::Samples& samples, int workers);

  Quality measure(const graph::Model& quantized) const;
  /// Whether some output holds class scores.
  bool has_scores() const;
  /// Rows of class scores in all samples, of the output that has least.
  int64_t answers() const;
  int64_t samples() const { return static_cast<int64_t>(feeds_.size()); }

 private:
  struct SampleResult;

  SampleResult compare(size_t sample, const std::vector<Tensor>& actual) const;
  Quality sum(const std::vector<SampleResult>& results) const;

  std::vector<std::string> outputs_;
  std::vector<bool> scores_;  // by output
  std::vector<exec::Feed> feeds_;
  std::vector<std::vector<Tensor>> reference_;  // by sample
  std::optional<std::vector<int64_t>> labels_;
  int workers_ = 1;
};

}  // namespace narrow::tune
