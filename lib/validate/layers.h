// Every quantized activation three ways: float, integer and simulated.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/exec/program.h"
#include "lib/runtime/lower.h"
#include "lib/validate/compare.h"
#include "lib/validate/validate.h"

namespace narrow::validate {

Metrics metrics_of(const ErrorStatistics& statistics);

/// What one sample, or several, contribute to one layer.
struct LayerErrors {
  ErrorStatistics integer;    // against float
  ErrorStatistics simulated;  // against float
  StepDifference difference;  // integer against simulated

  void add(const LayerErrors& other);
};

/// Adds layer by layer; `errors` may be empty (a sample without layers).
void add_errors(const std::vector<LayerErrors>& errors, std::vector<LayerErrors>& sums);

struct LayerRun {
  std::vector<Tensor> float_outputs;
  std::vector<Tensor> integer_outputs;
  std::vector<LayerErrors> layers;
};

/// Compares the quantized values that the float model has, too. Runs float and simulated programs of its own, unfused
/// at these values, so that each exists. The lowered model must outlive it.
class LayerComparer {
 public:
  LayerComparer(const graph::Model& float_model, const graph::Model& quantized, const runtime::LoweredModel& lowered);

  /// The feeds are one sample's, and differ only in what each model remembers of the samples before; `feed` is that of
  /// the integer run, and of the simulated one.
  LayerRun run(const exec::Feed& float_feed, const exec::Feed& feed, Workspace& workspace) const;
  /// In the order of the float model's nodes, graph inputs first; layers that nothing could be compared of are left
  /// out.
  std::vector<LayerComparison> summarize(const std::vector<LayerErrors>& sums) const;

 private:
  struct Layer {
    std::string integer;
    const runtime::QuantizedValue* value = nullptr;
  };

  class FloatListener;

  void find_layers(const graph::Model& float_model);

  const runtime::LoweredModel& lowered_;
  exec::Program float_program_;
  exec::Program simulated_program_;
  std::vector<Layer> layers_;
  std::map<std::string, std::vector<size_t>> by_real_;  // layers by the float model's value
  KeptIntegers::Wanted wanted_;
};

}  // namespace narrow::validate
