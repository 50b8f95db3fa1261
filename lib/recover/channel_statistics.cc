#include "lib/recover/channel_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "lib/exec/float_program.h"
#include "lib/recover/ordered_samples.h"
#include "lib/recover/vector_math.h"

namespace narrow::recover {
struct ChannelWatch::Sums {
  std::vector<double> lows;
  std::vector<double> highs;
  std::vector<double> squares;
  double count = 0;  // elements of a channel

  double maximum(size_t channel) const { return std::max(-lows[channel], highs[channel]); }

  void resize(size_t channels) {
    lows.resize(channels, std::numeric_limits<double>::infinity());
    highs.resize(channels, -std::numeric_limits<double>::infinity());
    squares.resize(channels, 0);
  }

  void add(const Sums& other) {
    resize(std::max(lows.size(), other.lows.size()));
    for (size_t i = 0; i < other.lows.size(); ++i) {
      lows[i] = std::min(lows[i], other.lows[i]);
      highs[i] = std::max(highs[i], other.highs[i]);
      squares[i] += other.squares[i];
    }
    count += other.count;
  }

  /// `inner` neighbouring elements belong to one channel, the next ones to the next.
  void add_values(std::span<const float> values, size_t channels, size_t inner) {
    resize(channels);
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
    const size_t channels = lows.size();
    std::vector<float> least(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(channels));
    std::vector<float> most = least;
    for (size_t row = 0; row < values.size(); row += channels) {
      take_row(values.subspan(row, channels), least, most, squares);
    }
    for (size_t i = 0; i < channels; ++i) include(i, least[i], most[i]);
  }

  void add_run(size_t channel, std::span<const float> values) {
    constexpr size_t kParts = 8;  // sums that do not wait for each other
    std::array<float, kParts> least{};
    std::array<float, kParts> most{};
    least.fill(values.front());
    most.fill(values.front());
    std::array<double, kParts> sums{};
    const size_t whole = values.size() / kParts * kParts;
    for (size_t i = 0; i < whole; i += kParts) {
      for (size_t k = 0; k < kParts; ++k) {
        least[k] = std::min(least[k], values[i + k]);
        most[k] = std::max(most[k], values[i + k]);
        sums[k] += static_cast<double>(values[i + k]) * values[i + k];
      }
    }
    for (size_t i = whole; i < values.size(); ++i) {
      least[0] = std::min(least[0], values[i]);
      most[0] = std::max(most[0], values[i]);
      sums[0] += static_cast<double>(values[i]) * values[i];
    }
    for (size_t k = 0; k < kParts; ++k) include(channel, least[k], most[k]);
    for (const double part : sums) squares[channel] += part;
  }

 private:
  void include(size_t channel, float low, float high) {
    lows[channel] = std::min(lows[channel], static_cast<double>(low));
    highs[channel] = std::max(highs[channel], static_cast<double>(high));
  }
};

namespace {

/// Standard deviation of what `of` says of each sample, by channel.
template <class Sums, class Of>
std::vector<double> deviations(const std::vector<const Sums*>& samples, size_t channels, Of of) {
  const auto count = static_cast<double>(samples.size());
  std::vector<double> result(channels, 0);
  for (size_t i = 0; i < channels; ++i) {
    const auto value = [&](const Sums* sums) { return i < sums->lows.size() ? of(*sums, i) : 0; };
    double mean = 0;
    for (const Sums* sums : samples) mean += value(sums) / count;
    double power = 0;
    for (const Sums* sums : samples) power += (value(sums) - mean) * (value(sums) - mean) / count;
    result[i] = std::sqrt(power);
  }
  return result;
}

}  // namespace

void ChannelWatch::on_value(int64_t sample, const std::string& value, const Tensor& tensor) {
  if (!values_.contains(value) || tensor.type() != DataType::kFloat32 || tensor.rank() < 2 || tensor.size() == 0)
    return;
  const auto channels = static_cast<size_t>(tensor.shape()[1]);
  const auto rows = static_cast<size_t>(tensor.shape()[0]) * channels;
  const size_t inner = tensor.layout() == Layout::kChannelsLast ? 1 : static_cast<size_t>(tensor.size()) / rows;
  auto sums = std::make_shared<Sums>();
  sums->add_values(tensor.data<float>(), channels, inner);
  const std::lock_guard lock(mutex_);
  auto& own = sums_[sample][value];
  if (own) sums->add(*own);  // a body that runs several times
  own = std::move(sums);
}

ValueChannels ChannelWatch::result(const std::vector<int64_t>& samples) const {
  std::map<std::string, std::vector<const Sums*>> all;
  for (const int64_t sample : samples) {
    const auto own = sums_.find(sample);
    if (own == sums_.end()) continue;
    for (const auto& [value, sums] : own->second) all[value].push_back(sums.get());
  }
  ValueChannels result;
  for (const auto& [value, parts] : all) {
    Sums sums;
    for (const Sums* part : parts) sums.add(*part);
    if (sums.count == 0) continue;
    for (double& square : sums.squares) square /= sums.count;
    ChannelStatistics& statistics = result[value];
    const size_t channels = sums.lows.size();
    for (size_t i = 0; i < channels; ++i) statistics.maxima.push_back(sums.maximum(i));
    statistics.spreads = deviations(parts, channels, [](const Sums& part, size_t i) { return part.maximum(i); });
    statistics.unrest = deviations(parts, channels, [](const Sums& part, size_t i) { return part.lows[i]; });
    statistics.squares = std::move(sums.squares);
    statistics.lows = std::move(sums.lows);
    statistics.highs = std::move(sums.highs);
  }
  return result;
}

namespace {

/// One sample's run.
class SampleListener : public exec::TensorListener {
 public:
  SampleListener(ChannelWatch& watch, int64_t sample) : watch_(watch), sample_(sample) {}

  void on_value(const std::string& value, const Tensor& tensor) override { watch_.on_value(sample_, value, tensor); }

 private:
  ChannelWatch& watch_;
  int64_t sample_;
};

}  // namespace

ValueChannels observe_channels(const graph::Model& model, const Samples& samples,
                               const std::vector<std::string>& values, int workers) {
  const exec::Program program = exec::compile_float(model, {.observed = values});
  std::vector<Workspace> workspaces(static_cast<size_t>(std::max(workers, 1)));
  ChannelWatch watch(values);
  for_each_in_order(
      samples.count, workers,
      [&](int worker, int64_t sample) {
        SampleListener listener(watch, sample);
        program.run(samples.read(sample), workspaces[static_cast<size_t>(worker)], {.listener = &listener});
      },
      [](int, int64_t) {});
  std::vector<int64_t> all(static_cast<size_t>(samples.count));
  std::iota(all.begin(), all.end(), 0);
  return watch.result(all);
}

}  // namespace narrow::recover
