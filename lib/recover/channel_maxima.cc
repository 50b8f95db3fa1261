#include <algorithm>
#include <cmath>

#include "lib/exec/float_program.h"
#include "lib/recover/channel_maxima.h"
#include "lib/recover/ordered_samples.h"

namespace narrow::recover {
namespace {

class MaximaListener : public exec::TensorListener {
 public:
  explicit MaximaListener(ChannelMaxima& maxima) : maxima_(maxima) {}

  void on_value(const std::string& value, const Tensor& tensor) override {
    const auto found = maxima_.find(value);
    if (found == maxima_.end() || tensor.type() != DataType::kFloat32 || tensor.rank() < 2) return;
    std::vector<float>& maxima = found->second;
    maxima.resize(static_cast<size_t>(tensor.shape()[1]), 0);
    const auto values = tensor.data<float>();
    const bool last = tensor.layout() == Layout::kChannelsLast || tensor.rank() == 2;
    const auto inner = last ? size_t{1} : values.size() / static_cast<size_t>(tensor.shape()[0] * tensor.shape()[1]);
    const size_t channels = maxima.size();
    for (size_t i = 0; i < values.size(); i += inner) {
      float& most = maxima[i / inner % channels];
      for (size_t j = i; j < i + inner; ++j) most = std::max(most, std::abs(values[j]));
    }
  }

 private:
  ChannelMaxima& maxima_;
};

}  // namespace

ChannelMaxima observe_channels(const graph::Model& model, const Samples& samples,
                               const std::vector<std::string>& values, int workers) {
  const exec::Program program = exec::compile_float(model, {.observed = values});
  ChannelMaxima empty;
  for (const std::string& value : values) empty[value];
  std::vector<ChannelMaxima> found(static_cast<size_t>(std::max(workers, 1)), empty);
  std::vector<Workspace> workspaces(found.size());
  for_each_in_order(
      samples.count, workers,
      [&](int worker, int64_t sample) {
        MaximaListener listener(found[static_cast<size_t>(worker)]);
        program.run(samples.read(sample), workspaces[static_cast<size_t>(worker)], {.listener = &listener});
      },
      [](int, int64_t) {});
  ChannelMaxima result = found.front();
  for (const ChannelMaxima& other : found) {
    for (const auto& [value, maxima] : other) {
      std::vector<float>& target = result[value];
      target.resize(std::max(target.size(), maxima.size()), 0);
      for (size_t i = 0; i < maxima.size(); ++i) target[i] = std::max(target[i], maxima[i]);
    }
  }
  std::erase_if(result, [](const auto& entry) { return entry.second.empty(); });
  return result;
}

}  // namespace narrow::recover
