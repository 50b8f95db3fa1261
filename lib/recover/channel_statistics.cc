#include "lib/recover/channel_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lib/exec/float_program.h"
#include "lib/recover/ordered_samples.h"

namespace narrow::recover {
namespace {

/// Sums of one or more samples.
struct ChannelSums {
  std::vector<double> maxima;
  std::vector<double> squares;
  double count = 0;  // elements of a channel

  void add(const ChannelSums& other) {
    maxima.resize(std::max(maxima.size(), other.maxima.size()), 0);
    squares.resize(maxima.size(), 0);
    for (size_t i = 0; i < other.maxima.size(); ++i) {
      maxima[i] = std::max(maxima[i], other.maxima[i]);
      squares[i] += other.squares[i];
    }
    count += other.count;
  }

  /// `inner` neighbouring elements belong to one channel, the next ones to the next.
  void add_values(std::span<const float> values, size_t channels, size_t inner) {
    maxima.resize(channels, 0);
    squares.resize(channels, 0);
    if (inner == 1) {
      add_rows(values);
    } else {
      for (size_t i = 0; i < values.size(); i += inner) add_run(i / inner % channels, values.subspan(i, inner));
    }
    const size_t rows = values.size() / channels;
    count += static_cast<double>(rows);
  }

  /// Rows of an element for each channel.
  void add_rows(std::span<const float> values) {
    const size_t channels = maxima.size();
    std::vector<float> most(channels, 0);
    for (size_t row = 0; row < values.size(); row += channels) {
      const float* const from = values.data() + row;
      for (size_t i = 0; i < channels; ++i) most[i] = std::max(most[i], std::abs(from[i]));
      for (size_t i = 0; i < channels; ++i) squares[i] += static_cast<double>(from[i]) * from[i];
    }
    for (size_t i = 0; i < channels; ++i) maxima[i] = std::max(maxima[i], static_cast<double>(most[i]));
  }

  void add_run(size_t channel, std::span<const float> values) {
    constexpr size_t kParts = 8;  // sums that do not wait for each other
    std::array<float, kParts> most{};
    std::array<double, kParts> sums{};
    const size_t whole = values.size() / kParts * kParts;
    for (size_t i = 0; i < whole; i += kParts) {
      for (size_t k = 0; k < kParts; ++k) {
        most[k] = std::max(most[k], std::abs(values[i + k]));
        sums[k] += static_cast<double>(values[i + k]) * values[i + k];
      }
    }
    for (size_t i = whole; i < values.size(); ++i) {
      most[0] = std::max(most[0], std::abs(values[i]));
      sums[0] += static_cast<double>(values[i]) * values[i];
    }
    for (const float part : most) maxima[channel] = std::max(maxima[channel], static_cast<double>(part));
    for (const double part : sums) squares[channel] += part;
  }
};

class ChannelListener : public exec::TensorListener {
 public:
  explicit ChannelListener(const std::vector<std::string>& values) {
    for (const std::string& value : values) sums_[value];
  }

  void on_value(const std::string& value, const Tensor& tensor) override {
    const auto found = sums_.find(value);
    if (found == sums_.end() || tensor.type() != DataType::kFloat32 || tensor.rank() < 2 || tensor.size() == 0) return;
    const auto channels = static_cast<size_t>(tensor.shape()[1]);
    const auto rows = static_cast<size_t>(tensor.shape()[0]) * channels;
    const size_t inner = tensor.layout() == Layout::kChannelsLast ? 1 : static_cast<size_t>(tensor.size()) / rows;
    found->second.add_values(tensor.data<float>(), channels, inner);
  }

  const std::map<std::string, ChannelSums>& sums() const { return sums_; }

 private:
  std::map<std::string, ChannelSums> sums_;
};

}  // namespace

ValueChannels observe_channels(const graph::Model& model, const Samples& samples,
                               const std::vector<std::string>& values, int workers) {
  const exec::Program program = exec::compile_float(model, {.observed = values});
  const auto count = static_cast<size_t>(std::max(workers, 1));
  std::vector<ChannelListener> listeners(count, ChannelListener({}));
  std::vector<Workspace> workspaces(count);
  std::map<std::string, ChannelSums> all;
  for_each_in_order(
      samples.count, workers,
      [&](int worker, int64_t sample) {
        const auto at = static_cast<size_t>(worker);
        listeners[at] = ChannelListener(values);
        program.run(samples.read(sample), workspaces[at], {.listener = &listeners[at]});
      },
      [&](int worker, int64_t) {
        for (const auto& [value, sums] : listeners[static_cast<size_t>(worker)].sums()) all[value].add(sums);
      });
  ValueChannels result;
  for (auto& [value, sums] : all) {
    if (sums.count == 0) continue;
    for (double& square : sums.squares) square /= sums.count;
    result[value] = {.maxima = std::move(sums.maxima), .squares = std::move(sums.squares)};
  }
  return result;
}

}  // namespace narrow::recover
