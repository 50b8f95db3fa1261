#include "lib/rewrite/qoperator_rows.h"

#include <algorithm>
#include <array>

#include "lib/graph/model.h"

namespace narrow::rewrite {
namespace {

// Sorted by the float operator. Those of ONNX's own domain take int8 and uint8 from opset 13 on, the least there is.
constexpr std::array kRows{
    QoperatorRow{"Add", "QLinearAdd", true, QoperatorForm::kPair},
    QoperatorRow{"AveragePool", "QLinearAveragePool", true, QoperatorForm::kOne},
    QoperatorRow{"Concat", "QLinearConcat", true, QoperatorForm::kJoin},
    QoperatorRow{"Conv", "QLinearConv", false, QoperatorForm::kProduct},
    QoperatorRow{"DepthToSpace", "DepthToSpace", false, QoperatorForm::kMove},
    QoperatorRow{"Flatten", "Flatten", false, QoperatorForm::kMove},
    QoperatorRow{"Gather", "Gather", false, QoperatorForm::kMove},
    QoperatorRow{"Gemm", "QGemm", true, QoperatorForm::kSums},
    QoperatorRow{"GlobalAveragePool", "QLinearGlobalAveragePool", true, QoperatorForm::kOne},
    QoperatorRow{"Identity", "Identity", false, QoperatorForm::kMove},
    QoperatorRow{"LeakyRelu", "QLinearLeakyRelu", true, QoperatorForm::kOne},
    QoperatorRow{"MatMul", "QLinearMatMul", false, QoperatorForm::kProduct},
    QoperatorRow{"MaxPool", "MaxPool", false, QoperatorForm::kMove},
    QoperatorRow{"Mul", "QLinearMul", true, QoperatorForm::kPair},
    QoperatorRow{"Pad", "Pad", false, QoperatorForm::kMove},
    QoperatorRow{"Reshape", "Reshape", false, QoperatorForm::kMove},
    QoperatorRow{"Resize", "Resize", false, QoperatorForm::kMove},
    QoperatorRow{"Sigmoid", "QLinearSigmoid", true, QoperatorForm::kOne},
    QoperatorRow{"Slice", "Slice", false, QoperatorForm::kMove},
    QoperatorRow{"SpaceToDepth", "SpaceToDepth", false, QoperatorForm::kMove},
    QoperatorRow{"Split", "Split", false, QoperatorForm::kMove},
    QoperatorRow{"Squeeze", "Squeeze", false, QoperatorForm::kMove},
    QoperatorRow{"Transpose", "Transpose", false, QoperatorForm::kMove},
    QoperatorRow{"Unsqueeze", "Unsqueeze", false, QoperatorForm::kMove},
};
static_assert(std::is_sorted(kRows.begin(), kRows.end(),
                             [](const QoperatorRow& a, const QoperatorRow& b) { return a.real < b.real; }));

constexpr QoperatorRow kMatMulToFloat{"MatMul", "MatMulIntegerToFloat", true, QoperatorForm::kToFloat};

}  // namespace

const QoperatorRow* find_qoperator(const onnx::NodeProto& node) {
  if (!graph::canonical_domain(node.domain()).empty()) return nullptr;
  const auto* row =
      std::find_if(kRows.begin(), kRows.end(), [&](const QoperatorRow& r) { return r.real == node.op_type(); });
  return row == kRows.end() ? nullptr : row;
}

const QoperatorRow* find_qoperator_to_float(const onnx::NodeProto& node) {
  const QoperatorRow* row = find_qoperator(node);
  if (row == nullptr || row->form == QoperatorForm::kSums) return row;
  return row->real == kMatMulToFloat.real ? &kMatMulToFloat : nullptr;
}

}  // namespace narrow::rewrite
