// How near quantized models come to a float one, on samples held apart.
#pragma once

#include <vector>

#include "calib/data_reader.h"
#include "lib/graph/model.h"
#include "lib/tensor/metrics.h"
#include "lib/tensor/tensor.h"

namespace narrow::apps {

/// What is seen of each sample.
struct Judged {
  std::vector<double> sqnr_db;                        // mean of its outputs; NaN where nothing of it can be compared
  std::vector<std::vector<ErrorStatistics>> outputs;  // by sample; of what can not be compared, nothing
};

class Judge {
 public:
  /// Runs the float model over the samples and keeps its outputs. `data` must outlive it.
  Judge(const graph::Model& model, const calib::DataReader& data, std::vector<int64_t> samples, int workers);

  /// With the float model's outputs, a list for each sample.
  Judge(std::vector<std::vector<Tensor>> outputs, const calib::DataReader& data, std::vector<int64_t> samples,
        int workers);

  /// Of the outputs that are real numbers, on integer kernels; of probabilities their logarithms count.
  Judged judge(const graph::Model& quantized) const;

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

/// Lead in dB, mean over the outputs, of all samples' errors together: here a few samples that are far off decide,
/// which the mean of the samples' dB hardly shows.
double pooled_lead(const Judged& judged, const Judged& other);

}  // namespace narrow::apps
