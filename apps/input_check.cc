#include "apps/input_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "lib/base/median.h"
#include "lib/base/spread.h"
#include "lib/graph/graph_index.h"
#include "lib/recover/channel_statistics.h"

namespace narrow::apps {
namespace {

constexpr int64_t kMostSamples = 8;
// Real models on the data they were made for have 0.6 to 1.2; normalized twice or not at all, below 0.01 or above 8.
constexpr double kMostPower = 16;
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
};

Seen look_at(const recover::Samples& samples, const std::string& input) {
  Seen seen{.low = INFINITY, .high = -INFINITY};
  double sum = 0;
  double squares = 0;
  double count = 0;
  for (int64_t i = 0; i < samples.count; ++i) {
    const exec::Feed feed = samples.read(i);
    for (const float value : feed.at(input).data<float>()) {
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
    auto doubt = by_statistics();
    if (!doubt) doubt = by_bias(seen);
    if (!doubt) return {};
    return {
        fmt::format("input '{}' has values from {:.4g} to {:.4g} (mean {:.4g}, deviation {:.4g}), and {}: check its "
                    "scale, mean and std",
                    input_, seen.low, seen.high, seen.mean, seen.deviation, *doubt)};
  }

 private:
  /// Mean squares of a value's channels; empty where it is none with channels.
  std::vector<double> power(const graph::Model& model, const std::string& value) const {
    const auto seen = recover::observe_channels(model, samples_, {value}, check_.workers);
    return seen.empty() ? std::vector<double>{} : seen.begin()->second.squares;
  }

  std::optional<std::string> by_statistics() const {
    const graph::GraphIndex index(check_.loaded.graph());
    const auto& nodes = check_.loaded.graph().node();
    const auto node =
        std::find_if(nodes.begin(), nodes.end(), [](const auto& n) { return n.op_type() == "BatchNormalization"; });
    if (node == nodes.end() || node->input_size() != 5) return std::nullopt;
    const std::vector<float> means = constant(check_.loaded, index, node->input(3));
    const std::vector<float> variances = constant(check_.loaded, index, node->input(4));
    const std::vector<double> found = power(check_.loaded, node->input(0));
    if (means.empty() || means.size() != variances.size() || means.size() != found.size()) return std::nullopt;
    std::vector<double> ratios;
    for (size_t i = 0; i < means.size(); ++i) {
      const double expected = static_cast<double>(variances[i]) + static_cast<double>(means[i]) * means[i];
      if (expected > 0) ratios.push_back(found[i] / expected);
    }
    if (ratios.empty()) return std::nullopt;
    const double ratio = std::sqrt(upper_median(ratios));
    if (ratio * ratio <= kMostPower && ratio * ratio >= 1 / kMostPower) return std::nullopt;
    return fmt::format("what reaches the first BatchNormalization is {:.3g} times as large as in its training", ratio);
  }

  std::optional<std::string> by_bias(const Seen& seen) const {
    if (seen.low < 0 || seen.high <= kPixelsReach) return std::nullopt;
    const graph::GraphIndex index(check_.normalized.graph());
    const auto& nodes = check_.normalized.graph().node();
    const auto node = std::find_if(nodes.begin(), nodes.end(), [](const auto& n) { return n.op_type() == "Conv"; });
    if (node == nodes.end() || node->input_size() < 3) return std::nullopt;
    const std::vector<float> biases = constant(check_.normalized, index, node->input(2));
    const std::vector<double> found = power(check_.normalized, node->output(0));
    if (biases.empty() || biases.size() != found.size()) return std::nullopt;
    std::vector<double> sizes;
    std::vector<double> shares;
    std::vector<double> responses;
    for (size_t i = 0; i < biases.size(); ++i) {
      sizes.push_back(std::abs(static_cast<double>(biases[i])));
      responses.push_back(std::sqrt(found[i]));
      if (found[i] > 0) shares.push_back(sizes.back() / responses.back());
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
