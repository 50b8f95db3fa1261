// Room in the ranges of values whose channels were made alike.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "calib/observe.h"
#include "lib/plan/plan.h"

namespace narrow::apps {

/// Sees how far each sample reaches. Where one channel is far wider than the others, it alone can go past the range
/// on other data, and the others lose nothing; where all fill the range, all are cut off there.
class RangeRoom : public calib::RunWatch {
 public:
  explicit RangeRoom(const std::vector<std::string>& values) : values_(values.begin(), values.end()) {}

  void on_value(int64_t sample, const std::string& value, const Tensor& tensor) override;
  void on_outputs(int64_t, const std::vector<Tensor>&) override {}

  /// `range` of the value, widened to what four times as many samples would reach.
  quant::Range widened(const std::string& value, const quant::Range& range) const;

 private:
  using Reach = std::pair<double, double>;  // below and above 0

  std::set<std::string> values_;
  std::mutex mutex_;
  std::map<std::string, std::map<int64_t, Reach>> seen_;  // by sample
};

}  // namespace narrow::apps
