#include "apps/input_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "lib/base/median.h"
#include "lib/base/spread.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/recover/samples.h"

namespace narrow::apps {
namespace {

constexpr int64_t kMostSamples = 8;
// Real models on the data they were made for have 0.6 to 1.2; normalized twice or not at all, below 0.01 or above 8.
constexpr double kMostPower = 16;
// Of images in their variance, which a constant offset can not hide: right 0.55 to 1.4 (one sample 0.4 to 1.6); 0..1 in
// place of mean and std 0.03 to 0.05, mean and std in place of 0..1 24. (-1..1 and 0..1 are only 4 apart, as dull
// images may be.)
constexpr double kMostVariance = 8;
// Where BatchNormalization was folded, biases are of the order of what the layer answers to inputs of mean square 1.
constexpr double kPixelsReach = 64;
constexpr double kLeastBias = 0.15;  // of that answer; 0.2 to 1.5 in models trained on normalized data
constexpr double kLeastBiasShare = 0.03;

/// What the samples hold, all elements together.
struct Seen {
  double low = 0;
  double high = 0;
  double mean = 0;
  double deviation = 0;
  int64_t flat = 0;  // samples of which all elements are equal
};

Seen look_at(const recover::Samples& samples, const std::string& input) {
  Seen seen{.low = INFINITY, .high = -INFINITY};
  double sum = 0;
  double squares = 0;
  double count = 0;
  for (int64_t i = 0; i < samples.count; ++i) {
    const exec::Feed feed = samples.read(i);
    const auto values = feed.at(input).data<float>();
    const bool differs = std::any_of(values.begin(), values.end(), [&](float x) { return x != values.front(); });
    if (values.size() > 1 && !differs) ++seen.flat;
    for (const float value : values) {
      const auto x = static_cast<double>(value);
      seen.low = std::min(seen.low, x);
      seen.high = std::max(seen.high, x);
      sum += x;
      squares += x * x;
      count += 1;
    }
  }
  seen.mean = sum / std::max(count, 1.0);
  seen.deviation = std::sqrt(std::max(squares / std::max(count, 1.0) - seen.mean * seen.mean, 0.0));
  return seen;
}

/// Means and variances of a value's channels (axis 1) over all samples; empty where it is none with channels.
struct ChannelMoments : exec::TensorListener {
  std::string value;
  std::vector<double> sums = {};
  std::vector<double> squares = {};
  double count = 0;        // elements of a channel
  bool positions = false;  // it has more axes: a channel has many elements in each sample

  explicit ChannelMoments(std::string observed) : value(std::move(observed)) {}

  void on_value(const std::string& name, const Tensor& tensor) override {
    if (name != value || tensor.type() != DataType::kFloat32 || tensor.rank() < 2 || tensor.size() == 0) return;
    const Tensor plain = to_layout(tensor, Layout::kPlain);
    const auto values = plain.data<float>();
    const auto channels = static_cast<size_t>(tensor.shape()[1]);
    const size_t inner = values.size() / static_cast<size_t>(tensor.shape()[0]) / channels;
    sums.resize(channels, 0);
    squares.resize(channels, 0);
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t channel = i / inner % channels;
      sums[channel] += static_cast<double>(values[i]);
      squares[channel] += static_cast<double>(values[i]) * values[i];
    }
    count += static_cast<double>(values.size() / channels);
    positions = tensor.rank() > 2;
  }

  double power(size_t channel) const { return squares[channel] / count; }
  double variance(size_t channel) const {
    const double mean = sums[channel] / count;
    return std::max(power(channel) - mean * mean, 0.0);
  }
};

std::optional<std::string> only_float_input(const graph::Model& model, const graph::GraphIndex& index) {
  std::optional<std::string> found;
  for (const onnx::ValueInfoProto& input : model.graph().input()) {
    if (index.initializer(input.name()) != nullptr) continue;
    if (found || index.type(input.name()).type != DataType::kFloat32) return std::nullopt;
    found = input.name();
  }
  return found;
}

std::vector<float> constant(const graph::Model& model, const graph::GraphIndex& index, const std::string& name) {
  const onnx::TensorProto* initializer = index.initializer(name);
  if (initializer == nullptr || static_cast<DataType>(initializer->data_type()) != DataType::kFloat32) return {};
  const Tensor tensor = model.tensor(*initializer);
  const auto values = tensor.data<float>();
  return {values.begin(), values.end()};
}

bool is_beyond(double ratio, double most) {
  return ratio > most || ratio < 1 / most;
}

class Checker {
 public:
  Checker(const InputCheck& check, std::string input) : check_(check), input_(std::move(input)) {
    std::vector<int64_t> chosen;
    for (const int64_t at : spread_indices(static_cast<int64_t>(check.samples.size()), kMostSamples)) {
      chosen.push_back(check.samples[static_cast<size_t>(at)]);
    }
    samples_.count = static_cast<int64_t>(chosen.size());
    samples_.read = [&check, chosen](int64_t index) {
      return check.data.reader->read(chosen[static_cast<size_t>(index)]);
    };
  }

  std::vector<std::string> run() const {
    const Seen seen = look_at(samples_, input_);
    if (2 * seen.flat > samples_.count) {
      return {
          fmt::format("of {} samples of input '{}' that were looked at, {} hold a single number all over: they tell "
                      "little of its range",
                      samples_.count, input_, seen.flat)};
    }
    auto doubt = by_statistics();
    if (!doubt) doubt = by_bias(seen);
    if (!doubt) return {};
    return {
        fmt::format("input '{}' has values from {:.4g} to {:.4g} (mean {:.4g}, deviation {:.4g}), and {}: check its "
                    "scale, mean and std",
                    input_, seen.low, seen.high, seen.mean, seen.deviation, *doubt)};
  }

 private:
  ChannelMoments moments(const graph::Model& model, const std::string& value) const {
    const exec::Program program = exec::compile_float(model, {.observed = {value}});
    ChannelMoments found(value);
    Workspace workspace;
    for (int64_t i = 0; i < samples_.count; ++i) program.run(samples_.read(i), workspace, {.listener = &found});
    return found;
  }

  std::optional<std::string> by_statistics() const {
    const graph::GraphIndex index(check_.loaded.graph());
    const auto& nodes = check_.loaded.graph().node();
    const auto node =
        std::find_if(nodes.begin(), nodes.end(), [](const auto& n) { return n.op_type() == "BatchNormalization"; });
    if (node == nodes.end() || node->input_size() != 5) return std::nullopt;
    const std::vector<float> means = constant(check_.loaded, index, node->input(3));
    const std::vector<float> variances = constant(check_.loaded, index, node->input(4));
    const ChannelMoments found = moments(check_.loaded, node->input(0));
    if (means.empty() || means.size() != variances.size() || means.size() != found.sums.size()) return std::nullopt;
    std::vector<double> ratios;
    for (size_t i = 0; i < means.size(); ++i) {
      const double expected = static_cast<double>(variances[i]) + static_cast<double>(means[i]) * means[i];
      if (expected > 0) ratios.push_back(found.power(i) / expected);
    }
    if (ratios.empty()) return std::nullopt;
    const double ratio = upper_median(ratios);
    if (is_beyond(ratio, kMostPower)) {
      return fmt::format("what reaches the first BatchNormalization is {:.3g} times as large as in its training",
                         std::sqrt(ratio));
    }
    return found.positions ? by_variance(found, variances) : std::nullopt;
  }

  static std::optional<std::string> by_variance(const ChannelMoments& found, const std::vector<float>& variances) {
    std::vector<double> ratios;
    for (size_t i = 0; i < variances.size(); ++i) {
      if (variances[i] > 0) ratios.push_back(found.variance(i) / static_cast<double>(variances[i]));
    }
    if (ratios.empty() || !is_beyond(upper_median(ratios), kMostVariance)) return std::nullopt;
    return fmt::format("what reaches the first BatchNormalization varies {:.3g} times as much as in its training",
                       std::sqrt(upper_median(ratios)));
  }

  std::optional<std::string> by_bias(const Seen& seen) const {
    if (seen.low < 0 || seen.high <= kPixelsReach) return std::nullopt;
    const graph::GraphIndex index(check_.normalized.graph());
    const auto& nodes = check_.normalized.graph().node();
    const auto node = std::find_if(nodes.begin(), nodes.end(), [](const auto& n) { return n.op_type() == "Conv"; });
    if (node == nodes.end() || node->input_size() < 3) return std::nullopt;
    const std::vector<float> biases = constant(check_.normalized, index, node->input(2));
    const ChannelMoments found = moments(check_.normalized, node->output(0));
    if (biases.empty() || biases.size() != found.sums.size()) return std::nullopt;
    std::vector<double> sizes;
    std::vector<double> shares;
    std::vector<double> responses;
    for (size_t i = 0; i < biases.size(); ++i) {
      sizes.push_back(std::abs(static_cast<double>(biases[i])));
      responses.push_back(std::sqrt(found.power(i)));
      if (found.power(i) > 0) shares.push_back(sizes.back() / responses.back());
    }
    const double root_mean_square = std::hypot(seen.mean, seen.deviation);
    const bool matters = upper_median(sizes) * root_mean_square > kLeastBias * upper_median(responses);
    if (!matters || shares.empty() || upper_median(shares) >= kLeastBiasShare) return std::nullopt;
    return fmt::format(
        "the first convolution answers with {:.3g} where its bias is {:.3g}: it looks trained on "
        "normalized data",
        upper_median(responses), upper_median(sizes));
  }

  const InputCheck& check_;
  std::string input_;
  recover::Samples samples_;
};

}  // namespace

std::vector<std::string> input_warnings(const InputCheck& check) {
  const auto input = only_float_input(check.loaded, graph::GraphIndex(check.loaded.graph()));
  if (!input || check.samples.empty()) return {};
  return Checker(check, *input).run();
}

}  // namespace narrow::apps
