// A model as names and figures that can be compared with another's: quantization seen through, constants computed.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/json.h"
#include "lib/exec/constants.h"
#include "lib/graph/model.h"
#include "lib/tensor/tensor.h"

namespace narrow::diff {

/// A constant input of a node.
struct ConstantInput {
  int input = 0;
  std::string stored;  // "int8 per channel", "float32", "uint8 decoded by Gather"
  Tensor value;        // as the node reads it: dequantized, decoded
};

/// A node that computes. Its "reads" are the nodes and graph inputs that its values come from, whatever quantizes,
/// dequantizes or casts between.
struct NodeFacts {
  std::string name;
  std::string op_type;
  Json fields;  // op, type of the result, activations, reads, attributes, small integer constants
  std::vector<ConstantInput> constants;
};

struct ModelFacts {
  Json model = Json::object();      // see file_facts
  Json inputs = Json::object();     // by name: type, shape
  Json outputs = Json::object();    // the same
  Json quantized = Json::object();  // by the value that a QuantizeLinear reads: type, scale, zero point
  Json support = Json::object();    // nodes by operator that only quantize, dequantize, cast or compute constants
  std::vector<NodeFacts> nodes;     // in order, those of bodies behind their graph's
};

/// Integer operators (QLinearConv, ...) count as the operators that they stand for. Throws as the kernels of constant
/// nodes do, but for those that no kernel here computes: what depends on them is no constant.
ModelFacts facts_of(const graph::Model& model);

/// Versions of the file format and of the operators, and who made it.
Json file_facts(const graph::Model& model);

}  // namespace narrow::diff
