// The operators that compute on integers by themselves: THE table for writing them (lib/runtime/qoperator reads them).
#pragma once

#include <string_view>

#include "lib/graph/onnx_proto.h"

namespace narrow::rewrite {

/// How an operator's inputs are laid out.
enum class QoperatorForm {
  kProduct,  // x, w and a result; then a bias, if the operator has one
  kSums,     // x, w, a bias and a result, which may be absent: then it is float32
  kToFloat,  // x, w, their scales, their zero points; the result is float32
  kPair,     // two operands and a result
  kOne,      // one operand and a result
  kJoin,     // a result, then all operands
  kMove,     // the float operator itself, on integers
};

struct QoperatorRow {
  std::string_view real;  // the float operator
  std::string_view op_type;
  bool microsoft;  // of the domain com.microsoft
  QoperatorForm form;
};

/// The row of a float operator of ONNX's own domain; nullptr if it has none.
const QoperatorRow* find_qoperator(const onnx::NodeProto& node);
/// The same where the result is not quantized.
const QoperatorRow* find_qoperator_to_float(const onnx::NodeProto& node);

}  // namespace narrow::rewrite
