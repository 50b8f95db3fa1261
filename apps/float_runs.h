// What recovery wants to know of the float model's runs over the calibration samples, taken down while they calibrate.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "calib/observe.h"
#include "lib/graph/model.h"
#include "lib/recover/channel_statistics.h"

namespace narrow::apps {

class FloatRuns : public calib::RunWatch {
 public:
  /// `judges`: samples whose outputs are kept.
  FloatRuns(const graph::Model& model, const std::vector<int64_t>& judges);

  /// Values that have channels of their own.
  const std::vector<std::string>& values() const { return values_; }
  void on_value(int64_t sample, const std::string& value, const Tensor& tensor) override {
    channels_.on_value(sample, value, tensor);
  }
  void on_outputs(int64_t sample, const std::vector<Tensor>& outputs) override;

  recover::ValueChannels channels(const std::vector<int64_t>& samples) const { return channels_.result(samples); }
  /// nullopt where one of the samples did not run, or is none of the judges.
  std::optional<std::vector<std::vector<Tensor>>> outputs(const std::vector<int64_t>& samples) const;

 private:
  std::vector<std::string> values_;
  recover::ChannelWatch channels_;
  std::map<int64_t, std::vector<Tensor>> outputs_;  // by judge, empty until it has run; each is written by one thread
};

}  // namespace narrow::apps
