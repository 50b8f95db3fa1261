#pragma once

#include <cstdint>

#include "lib/tensor/tensor.h"
#include "lib/validate/validate.h"

namespace narrow::validate {

/// Hits of labelled samples, added up.
struct LabelHits {
  int64_t samples = 0;
  int64_t top1_float = 0;
  int64_t top1_quantized = 0;
  int64_t top5_float = 0;
  int64_t top5_quantized = 0;

  /// One sample: scores with a single row. Throws Error(kData) if the label is outside the scores or there are several
  /// rows.
  void add(const Tensor& reference, const Tensor& actual, int64_t label);
  void add(const LabelHits& other);
  Accuracy accuracy() const;
};

}  // namespace narrow::validate
