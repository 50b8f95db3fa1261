// What ONNX files may leave out or write otherwise, and runtimes accept: brought to the form that everything else
// knows.
#pragma once

#include <algorithm>
#include <vector>

#include "lib/graph/model.h"

namespace narrow::io {

/// Graph inputs and outputs without a shape, and outputs without a type, have stand-ins while this lives: ONNX's
/// checker wants them, shape inference finds the real ones. Throws Error(kModel) for an input without a type, which
/// nobody can know.
class StandInTypes {
 public:
  explicit StandInTypes(onnx::GraphProto& graph);
  ~StandInTypes();
  StandInTypes(const StandInTypes&) = delete;
  StandInTypes& operator=(const StandInTypes&) = delete;

 private:
  std::vector<onnx::ValueInfoProto*> untyped_;
  std::vector<onnx::ValueInfoProto*> unshaped_;
};

/// Before IR version 4 each initializer had to be an input too; files do not keep to it. While this lives the model is
/// of a version whose initializers ONNX's inference knows in any case.
class InitializersNeedNotBeInputs {
 public:
  explicit InitializersNeedNotBeInputs(onnx::ModelProto& proto) : proto_(proto), version_(proto.ir_version()) {
    proto_.set_ir_version(std::max<int64_t>(version_, 4));
  }
  ~InitializersNeedNotBeInputs() { proto_.set_ir_version(version_); }
  InitializersNeedNotBeInputs(const InitializersNeedNotBeInputs&) = delete;
  InitializersNeedNotBeInputs& operator=(const InitializersNeedNotBeInputs&) = delete;

 private:
  onnx::ModelProto& proto_;
  int64_t version_;
};

/// Nodes that spell ONNX's own domain "ai.onnx" have it empty, functions and subgraphs included, and a second import of
/// it of the same version goes: ONNX's checker and inference take the two for different domains.
void spell_own_domain(onnx::ModelProto& proto);

/// Sparse initializers and Constant nodes become dense ones, subgraphs included. The model has passed the checker.
/// Throws Error(kUnsupported) naming a tensor that would take more than kLargestDense bytes, or whose elements are
/// strings or smaller than a byte.
void densify(graph::Model& model);

/// QuantizeLinear and DequantizeLinear of com.microsoft become ONNX's own where the model's opset has their types: some
/// tools write those alone, and they mean the same. Subgraphs included.
void adopt_linear_operators(graph::Model& model);

/// Attributes of operators that ONNX knows by a function body alone get their defaults where they have none, so that
/// its shape inference can follow the body (MeanVarianceNormalization without axes). Subgraphs and functions included.
void spell_defaults(graph::Model& model);

inline constexpr size_t kLargestDense = size_t{1} << 30;

}  // namespace narrow::io
