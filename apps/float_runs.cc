#include "apps/float_runs.h"

#include "lib/recover/absorb.h"

namespace narrow::apps {

FloatRuns::FloatRuns(const graph::Model& model, const std::vector<int64_t>& judges)
    : values_(recover::channel_values(model)), channels_(values_) {
  for (const int64_t sample : judges) outputs_[sample];
}

void FloatRuns::on_outputs(int64_t sample, const std::vector<Tensor>& outputs) {
  const auto found = outputs_.find(sample);
  if (found != outputs_.end()) found->second = outputs;
}

std::optional<std::vector<std::vector<Tensor>>> FloatRuns::outputs(const std::vector<int64_t>& samples) const {
  std::vector<std::vector<Tensor>> result;
  for (const int64_t sample : samples) {
    const auto found = outputs_.find(sample);
    if (found == outputs_.end() || found->second.empty()) return std::nullopt;
    result.push_back(found->second);
  }
  return result;
}

}  // namespace narrow::apps
