// The QDQ model with operators that compute on integers by themselves, where they exist.
#pragma once

#include <string>
#include <vector>

#include "lib/graph/model.h"

namespace narrow::rewrite {

/// A node that reads quantized values and stays a float operator behind DequantizeLinear.
struct KeptNode {
  std::string node;
  std::string op_type;
  std::string why;
};

struct QoperatorModel {
  graph::Model model;
  std::vector<KeptNode> kept;  // in the graph's order; those of bodies are not listed, which stay as they are
};

/// Before:  y = QuantizeLinear (Conv (DequantizeLinear (x), DequantizeLinear (W), DequantizeLinear (b)))
/// After:   y = QLinearConv (x, W, b)          with the same scales and zero points
///
/// What moves data moves integers. `microsoft`: operators of com.microsoft may be used too (QLinearAdd, QGemm, ...);
/// without them those of ONNX are all there are. `qdq` is what rewrite_to_qdq made.
QoperatorModel to_qoperators(const graph::Model& qdq, bool microsoft);

}  // namespace narrow::rewrite
