// What can be quantized in a normalized model, what must share parameters, and a Reason for every node that can not.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/reason.h"
#include "lib/graph/model.h"
#include "lib/ops/op_table.h"

namespace narrow::analyze {

/// A constant float operand with integer form: a weight, or a bias.
struct ConstantSlot {
  int input = 0;
  std::string initializer;
  std::optional<int64_t> channel_axis;
  std::optional<int64_t> block_axis;  // the axis that products sum over, where blocks of it may have their own scales
  SumAxes sum_axes = {};              // what an output is a sum over, kernels of single channels first; none of lookups
};

/// One node.
struct Layer {
  std::string node;  // unique name (normalize names unnamed nodes)
  std::string op_type;
  ops::QuantRole role = ops::QuantRole::kNever;
  std::optional<Reason> reason;          // set: it stays float whatever the rules say
  std::vector<std::string> activations;  // values it reads that need quantization (constants among them)
  std::vector<std::string> outputs;      // values it makes that need quantization
  std::optional<ConstantSlot> weight;
  std::optional<ConstantSlot> bias;
  std::optional<ConstantSlot> stored_weight;  // what weight-only quantization can store in fewer bits
  std::vector<ConstantSlot> more_stored;      // and further constants of the node, such as LSTM's for its own state
  bool float_output = false;                  // see ops::OpRow
  std::vector<std::string> reads;             // every value that the node reads, in bodies too
  std::vector<std::string> makes;
  std::vector<std::string> inside;  // nodes whose bodies it stands in, the outermost first
  int64_t depth = 1;                // nodes on the longest way from an input to it, itself counted
  int64_t parameters = 0;           // elements of stored_weight and more_stored
  int64_t macs = 0;                 // per sample, unknown dimensions counted as 1
  int64_t weight_elements = 0;
};

/// Values that share one scale and zero point.
struct ValueGroup {
  std::string representative;        // the value that stands for the group in tables and plans
  std::vector<std::string> members;  // representative first, then in graph order
  std::vector<std::string> sources;  // members whose statistics together are the group's
};

struct Analysis {
  std::vector<Layer> layers;                          // in node order, every node; those of bodies before their owner
  std::vector<ValueGroup> groups;                     // every value some layer could want quantized is in exactly one
  std::map<std::string, size_t> layer_of;             // node name -> index into layers
  std::map<std::string, size_t> group_of;             // value -> index into groups
  std::map<std::string, std::string> clamp_producer;  // Relu or Clip node -> node whose only reader it is

  const Layer* layer(const std::string& node) const;
  const ValueGroup& group(const std::string& value) const;
};

/// Of a normalized model: names of nodes and values are unique throughout, bodies included.
Analysis analyze(const graph::Model& model);

}  // namespace narrow::analyze
