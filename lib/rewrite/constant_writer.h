// Integer constants of a quantized model: weights, biases, scales and zero points, each stored once.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/quant/quant_params.h"

namespace narrow::rewrite {

/// Names of the initializers that hold the parameters of one value.
struct ParameterNames {
  std::string scale;
  std::string zero_point;  // "" where it is left out
};

/// Whether a zero point that is 0 everywhere is stored. Integer kernels of stock runtimes look for it; in front of
/// float operators it is only bytes.
enum class Zeros { kStored, kLeftOut };

/// What readers in several graphs share.
enum class Shared { kIntegers, kValue };

class ConstantWriter {
 public:
  /// All must outlive this; `original` has the float constants, `index` is its index, bodies included.
  ConstantWriter(const graph::Model& original, const graph::GraphIndex& index, graph::GraphEditor& editor)
      : original_(original), index_(index), editor_(editor) {}

  /// The value behind DequantizeLinear or a decoder for a float initializer that a node of the graph `reader` reads.
  /// Readers in one graph that agree on the parameters share it, those in others what `shared` says.
  std::string dequantized(onnx::GraphProto& reader, const std::string& name, const quant::QuantParams& params,
                          Zeros zeros, Shared shared = Shared::kIntegers);

  /// A float initializer as integers and their parameters, the latter in `graph`, for a node of it that reads integers.
  struct Stored {
    std::string integers;
    ParameterNames parameters;
  };
  Stored stored(onnx::GraphProto& graph, const std::string& name, const quant::QuantParams& params, Zeros zeros);

  /// Initializer in `graph` of the codes of a constant that is called `name`.
  std::string add_codes(onnx::GraphProto& graph, const std::string& name, const Tensor& real,
                        const quant::QuantParams& params);

  /// The vector `name`, or, where a result's rank is given, the vector as [C, 1...] that broadcasts over axis 1 of it.
  std::string channel_constant(onnx::GraphProto& graph, const std::string& name, size_t result_rank);

  /// Equal parameters are stored once in a graph: values that share a scale, and the zeros behind every symmetric
  /// weight.
  std::string shared_initializer(onnx::GraphProto& graph, const std::string& wanted, const Tensor& tensor);

  /// Initializers in `graph` of scale and zero point for a tensor of shape `shape`, called after `name`.
  ParameterNames add_parameters(onnx::GraphProto& graph, const std::string& name, const quant::QuantParams& params,
                                const Shape& shape, Zeros zeros);

  Shape shape_of(const std::string& name) const;
  Tensor float_constant(const std::string& name) const { return original_.tensor(*index_.initializer(name)); }

 private:
  struct Made {
    const onnx::GraphProto* graph;
    quant::QuantParams params;
    Zeros zeros;
    std::string integers;
    std::string value;  // "" where integers alone are read
  };

  /// A graph of the original.
  struct Place {
    const onnx::GraphProto* around = nullptr;  // the graph that it is a body in
    onnx::GraphProto* now = nullptr;           // what is edited in its place
  };

  /// The innermost graph around all nodes that read the initializer, in which its integers are stored: where only one
  /// graph reads them, runtimes find them there.
  onnx::GraphProto& home_of(const std::string& name);
  std::string add_integers(const std::string& name, const quant::QuantParams& params);
  /// Codes as the file has them: those that need a decoder in bytes.
  Tensor stored_codes(const std::string& name, const quant::QuantParams& params) const;
  std::string add_dequantize(onnx::GraphProto& graph, const std::string& name, const std::string& integers,
                             const quant::QuantParams& params, Zeros zeros);

  const graph::Model& original_;
  const graph::GraphIndex& index_;
  graph::GraphEditor& editor_;
  std::unordered_map<std::string, std::vector<Made>> made_;
  size_t decoders_ = 0;
  std::unordered_map<const onnx::GraphProto*, Place> places_;  // made when first asked for
  std::map<std::tuple<const onnx::GraphProto*, DataType, Shape, std::string>, std::string> parameters_;
};

}  // namespace narrow::rewrite
