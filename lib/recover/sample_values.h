// Every sample's living values, of the float model and of the quantized one.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/graph_index.h"
#include "lib/plan/plan.h"
#include "lib/recover/unit.h"
#include "lib/tensor/workspace.h"

namespace narrow::recover {

/// Quantized values are kept as integers. Different samples may be used from different threads.
class SampleValues {
 public:
  SampleValues(const graph::GraphIndex& index, const plan::PrecisionPlan& plan);

  void start(int64_t samples);
  void add_feed(int64_t sample, const exec::Feed& feed);
  void keep_float(int64_t sample, const std::vector<std::string>& names, std::vector<Tensor> tensors);
  /// Rounds what the plan quantizes.
  void keep_quantized(int64_t sample, const std::vector<std::string>& names, std::vector<Tensor> tensors);
  void drop(const std::string& value);
  /// Model inputs stay.
  void drop_float(const std::string& value);

  exec::Feed float_feed(int64_t sample, const std::vector<std::string>& names) const;
  /// Model inputs are quantized for those readers alone that the plan gives them to in `integers`.
  exec::Feed quantized_feed(int64_t sample, const std::vector<std::string>& names,
                            const std::set<std::string>& integers, Workspace& workspace) const;
  /// As a layer of the quantized model reads it, float32.
  Tensor quantized(int64_t sample, const std::string& value, Workspace& workspace) const;
  /// Of a value that the plan quantizes.
  float scale(const std::string& value) const { return params_.at(value)->scales.front(); }
  /// Of the float values that are kept, and of the quantized model's that will be.
  int64_t expected_bytes(int64_t sample) const;

  /// The constants that the layer reads as quantized activations, rounded.
  ConstantOverrides quantized_constants(const graph::Model& model, const plan::LayerPlan& layer) const;

 private:
  using Values = std::unordered_map<std::string, Tensor>;

  const quant::QuantParams* params(const std::string& value) const;

  const graph::GraphIndex& index_;
  std::unordered_map<std::string, const quant::QuantParams*> params_;
  std::vector<Values> float_;      // by sample
  std::vector<Values> quantized_;  // by sample
};

}  // namespace narrow::recover
