// Which channels of which values must be scaled together, so that the model computes the same.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::recover {

/// Channels joined by what computes each channel alone and scales with it (Relu, pooling, sums, Concat, ...), between
/// layers with weights, which can take a factor on either side. Union-find over (value, channel).
class ChannelClasses {
 public:
  explicit ChannelClasses(const graph::Model& model);

  /// Values whose channels may have factors of their own, in graph order.
  const std::vector<std::string>& values() const { return values_; }
  int64_t channels(const std::string& value) const;
  /// The class of one channel, or -1 where it may not be scaled.
  int64_t class_of(const std::string& value, int64_t channel) const;

  /// An upper bound of channels that a Clip sets: scaled, no element of the class may pass it.
  struct Bound {
    int64_t class_id = 0;
    std::string input;  // the Clip's, before it clamps
    int64_t channel = 0;
    float high = 0;
  };
  const std::vector<Bound>& bounds() const { return bounds_; }

 private:
  void join_node(const onnx::NodeProto& node);
  bool join_channelwise(const onnx::NodeProto& node);
  bool join_concat(const onnx::NodeProto& node);
  void join_values(const std::string& a, const std::string& b);
  void pin_value(const std::string& value);
  int64_t element(const std::string& value, int64_t channel) const;
  int64_t find(int64_t element) const;
  void join(int64_t a, int64_t b);
  bool same_channels(const std::string& a, const std::string& b) const;

  const graph::Model& model_;
  graph::GraphIndex index_;
  std::unordered_map<std::string, int64_t> first_;  // element of a value's channel 0
  std::unordered_map<std::string, int64_t> count_;
  mutable std::vector<int64_t> parent_;
  std::vector<bool> pinned_;  // by root
  std::vector<std::string> values_;
  std::vector<Bound> bounds_;
};

/// A layer whose weight and bias take factors: Conv, or Gemm without transA, with constants of its own.
bool takes_factors(const graph::GraphIndex& index, const onnx::NodeProto& node);

}  // namespace narrow::recover
