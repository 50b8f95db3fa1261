#include "lib/recover/row_statistics.h"

#include <algorithm>
#include <cmath>

#include "lib/base/median.h"
#include "lib/base/spread.h"
#include "lib/exec/float_program.h"
#include "lib/recover/ordered_samples.h"

namespace narrow::recover {
namespace {

constexpr double kEnoughSamples = 8;   // that make a channel's large elements
constexpr double kEnoughShare = 0.25;  // of the samples, where these are few

using Found = std::map<std::string, RowStatistics>;

/// How many samples would make these sums if each had the same; fewer than 1: none had any.
double effective_samples(double sum, double squares) {
  return squares > 0 ? sum * sum / squares : 0;
}

class RowListener : public exec::TensorListener {
 public:
  RowListener(const std::vector<std::string>& values, int64_t rows) : rows_(rows) {
    for (const std::string& value : values) found_[value];
  }

  void on_value(const std::string& value, const Tensor& tensor) override {
    const auto found = found_.find(value);
    if (found == found_.end() || tensor.type() != DataType::kFloat32 || tensor.rank() < 1 || tensor.size() == 0) return;
    const Tensor plain = to_layout(tensor, Layout::kPlain);
    add(found->second, plain.data<float>(), static_cast<size_t>(plain.shape().back()));
  }

  const Found& found() const { return found_; }

 private:
  void add(RowStatistics& statistics, std::span<const float> values, size_t channels) const {
    statistics.low.resize(channels, 0);
    statistics.high.resize(channels, 0);
    std::vector<float> largest(channels, 0);
    const size_t count = values.size() / channels;
    for (size_t row = 0; row < count; ++row) {
      const auto elements = values.subspan(row * channels, channels);
      for (size_t i = 0; i < channels; ++i) {
        statistics.low[i] = std::min(statistics.low[i], elements[i]);
        statistics.high[i] = std::max(statistics.high[i], elements[i]);
        largest[i] = std::max(largest[i], std::abs(elements[i]));
      }
    }
    statistics.sums.resize(channels, 0);
    statistics.squares.resize(channels, 0);
    ++statistics.samples;
    for (size_t i = 0; i < channels; ++i) {
      statistics.sums[i] += largest[i];
      statistics.squares[i] += static_cast<double>(largest[i]) * largest[i];
    }
    for (const int64_t row : spread_indices(static_cast<int64_t>(count), rows_)) {
      const auto elements = values.subspan(static_cast<size_t>(row) * channels, channels);
      statistics.rows.insert(statistics.rows.end(), elements.begin(), elements.end());
    }
  }

  int64_t rows_;  // of one value that are kept
  Found found_;
};

void merge(const RowStatistics& from, RowStatistics& to) {
  to.low.resize(std::max(to.low.size(), from.low.size()), 0);
  to.high.resize(to.low.size(), 0);
  to.sums.resize(to.low.size(), 0);
  to.squares.resize(to.low.size(), 0);
  to.samples += from.samples;
  for (size_t i = 0; i < from.low.size(); ++i) {
    to.sums[i] += from.sums[i];
    to.squares[i] += from.squares[i];
    to.low[i] = std::min(to.low[i], from.low[i]);
    to.high[i] = std::max(to.high[i], from.high[i]);
  }
  to.rows.insert(to.rows.end(), from.rows.begin(), from.rows.end());
}

}  // namespace

std::vector<double> RowStatistics::sizes() const {
  std::vector<double> result;
  const auto count = static_cast<double>(samples);
  const double enough = std::clamp(kEnoughShare * count, 1.0, kEnoughSamples);
  std::vector<double> known;
  for (size_t i = 0; i < low.size(); ++i) {
    result.push_back(std::sqrt(squares[i] / count));
    if (effective_samples(sums[i], squares[i]) >= enough) known.push_back(result[i]);
  }
  if (known.empty()) return result;
  const double middle = upper_median(std::move(known));
  for (size_t i = 0; i < result.size(); ++i) {
    const double sure = effective_samples(sums[i], squares[i]) / enough;
    if (sure >= 1 || result[i] >= middle) continue;
    result[i] = result[i] > 0 ? std::pow(result[i], sure) * std::pow(middle, 1 - sure) : middle;
  }
  return result;
}

std::map<std::string, RowStatistics> observe_rows(const graph::Model& model, const Samples& samples,
                                                  const std::vector<std::string>& values, const RowOptions& options) {
  const exec::Program program = exec::compile_float(model, {.observed = values});
  const auto count = static_cast<size_t>(std::max(options.workers, 1));
  const int64_t rows = (options.rows + samples.count - 1) / std::max<int64_t>(samples.count, 1);
  std::vector<RowListener> listeners(count, RowListener({}, 0));
  std::vector<Workspace> workspaces(count);
  Found all;
  for_each_in_order(
      samples.count, options.workers,
      [&](int worker, int64_t sample) {
        const auto at = static_cast<size_t>(worker);
        listeners[at] = RowListener(values, rows);
        program.run(samples.read(sample), workspaces[at], {.listener = &listeners[at]});
      },
      [&](int worker, int64_t) {
        for (const auto& [value, statistics] : listeners[static_cast<size_t>(worker)].found()) {
          if (!statistics.low.empty()) merge(statistics, all[value]);
        }
      });
  return all;
}

}  // namespace narrow::recover
