// How near quantized models come to a float one, on samples held apart.
#pragma once

#include <vector>

#include "calib/data_reader.h"
#include "lib/graph/model.h"
#include "lib/tensor/tensor.h"

namespace narrow::apps {

class Judge {
 public:
  /// Runs the float model over the samples and keeps its outputs. `data` must outlive it.
  Judge(const graph::Model& model, const calib::DataReader& data, std::vector<int64_t> samples, int workers);

  /// With the float model's outputs, a list for each sample.
  Judge(std::vector<std::vector<Tensor>> outputs, const calib::DataReader& data, std::vector<int64_t> samples,
        int workers);

  /// SQNR in dB of the outputs that are real numbers on integer kernels, of probabilities that of their logarithms, by
  /// sample, the mean of its outputs; NaN where nothing of a sample can be compared.
  std::vector<double> sqnr_db(const graph::Model& quantized) const;

 private:
  const calib::DataReader& data_;
  std::vector<int64_t> samples_;
  int workers_;
  std::vector<std::vector<Tensor>> outputs_;  // by sample
};

/// By how much samples' figures lead on others of the same samples.
struct Lead {
  double mean = 0;
  double error = 0;  // its standard error; infinite of one sample
};

/// Of those that are numbers; 100 where none is.
double mean_of(const std::vector<double>& values);
/// Of samples that have both; no lead where none has.
Lead lead_of(const std::vector<double>& values, const std::vector<double>& others);

}  // namespace narrow::apps
