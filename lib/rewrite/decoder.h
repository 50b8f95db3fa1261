// Weights of types that ONNX does not have: packed bytes, and the standard operators that make numbers of them.
#pragma once

#include <string>

#include "lib/graph/edit.h"
#include "lib/quant/quant_params.h"

namespace narrow::rewrite {

class ConstantWriter;

/// Codes of quant::quantize as the file has them: uint8, the first code of a byte in its lowest bits, the last byte
/// filled with zeros. Of 8 bits: in the shape of the weight; of fewer: a vector. The bit of a binary code is 1 for 1.
Tensor packed_codes(const Tensor& codes, const quant::QuantParams& params);

/// Writes decoders into one graph. Operators are those of opset 13: any runtime folds them when it loads the file.
class Decoder {
 public:
  /// All must outlive this. `number`: each decoder of a model has another.
  Decoder(ConstantWriter& constants, graph::GraphEditor& editor, onnx::GraphProto& graph, size_t number);

  /// The weight `name` as float32:
  /// Mul (Cast (Reshape (Gather (table [256, 8], Cast (codes)), shape)), scales)
  /// Not DequantizeLinear: onnxruntime takes that and a MatMul together and then rounds the activations to 8 bits, and
  /// OpenVINO wants blocks that divide the axis.
  std::string binary(const std::string& name, const std::string& codes, const Shape& shape,
                     const quant::QuantParams& params);

  /// Mul (Gather (codebooks, Add (Reshape (Gather (table [256, codes a byte], Cast (codes)), shape), first entry of
  /// each channel's codebook)), scales), without what it does not need.
  std::string codebook(const std::string& name, const std::string& codes, const Shape& shape,
                       const quant::QuantParams& params);

 private:
  std::string unpacked(const std::string& codes, const std::string& table, const Shape& shape, int64_t codes_per_byte);
  std::string add(std::string_view op_type, const std::vector<std::string>& inputs, const std::string& output = "");
  std::string cast(const std::string& value, onnx::TensorProto::DataType type);
  std::string scales(const std::string& name, const Shape& shape, const quant::QuantParams& params);
  std::string integers(const std::string& name, const std::vector<int64_t>& values);

  ConstantWriter& constants_;
  graph::GraphEditor& editor_;
  onnx::GraphProto& graph_;
  std::string prefix_;
  int made_ = 1;
};

}  // namespace narrow::rewrite
