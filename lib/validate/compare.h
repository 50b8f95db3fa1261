// What is seen of one sample, in a form that adds up in sample order: so the sums do not depend on the workers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/exec/program.h"
#include "lib/quant/quant_params.h"
#include "lib/tensor/metrics.h"
#include "lib/tensor/tensor.h"

namespace narrow::validate {

/// Keeps chosen quantized values of one run, as integers: a quarter of what they would take as float32.
class KeptIntegers : public exec::TensorListener {
 public:
  /// Names to keep, each with the parameters it is dequantized by.
  using Wanted = std::map<std::string, const quant::QuantParams*>;
  explicit KeptIntegers(const Wanted& wanted) : wanted_(wanted) {}

  void on_value(const std::string& value, const Tensor& tensor) override;
  /// float32 in plain layout; nullopt where the run did not make it.
  std::optional<Tensor> dequantized(const std::string& value) const;

 private:
  const Wanted& wanted_;
  std::map<std::string, Tensor> kept_;
};

/// Both as plain float32. Absent when only sizes differ, as those of NonZero may, and for what holds no real numbers
/// (strings, sequences); Error(kModel) naming `value` if ranks
/// or types do.
std::optional<ErrorStatistics> compare(const std::string& value, const Tensor& reference, const Tensor& actual);

/// float32, the 16-bit floats, float64: what a model's results are, unlike the small floats that are stored.
bool is_real(DataType type);

/// A score tensor as rows along the last axis that is not of length 1.
struct ScoreRows {
  std::vector<float> values;
  int64_t columns = 0;

  int64_t rows() const { return columns == 0 ? 0 : static_cast<int64_t>(values.size()) / columns; }
  std::span<const float> row(int64_t i) const {
    return std::span<const float>(values).subspan(static_cast<size_t>(i * columns), static_cast<size_t>(columns));
  }
};

/// Absent unless the tensor looks like scores: real numbers, rank >= 2, one row per element of the first axis, and that
/// row longer than 1.
std::optional<ScoreRows> score_rows(const Tensor& tensor);

/// Rows whose largest element has the same index in both.
struct Agreement {
  int64_t rows = 0;
  int64_t equal = 0;
};
std::optional<Agreement> agreement(const Tensor& reference, const Tensor& actual);

}  // namespace narrow::validate
