#include "lib/io/old_shapes.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lib/graph/schemas.h"

namespace narrow::io {
namespace {

using Context = onnx::InferenceContext;
using Infer = onnx::InferenceFunction;

// Before opset 7 the second operand was spread along the first.
constexpr std::array<std::string_view, 5> kArithmetic{"Add", "Div", "Mul", "Pow", "Sub"};
constexpr std::array<std::string_view, 6> kLogic{"And", "Equal", "Greater", "Less", "Or", "Xor"};
constexpr int kBroadcastsBothWays = 7;
constexpr int kReshapeReadsItsShape = 5;
constexpr int kInferenceIsComplete = 10;

bool is_among(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void like_first(Context& context) {
  onnx::propagateElemTypeFromInputToOutput(context, 0, 0);
  if (onnx::hasInputShape(context, 0)) onnx::propagateShapeFromInputToOutput(context, 0, 0);
}

void truth_like_first(Context& context) {
  onnx::updateOutputElemType(context, 0, onnx::TensorProto::BOOL);
  if (onnx::hasInputShape(context, 0)) onnx::propagateShapeFromInputToOutput(context, 0, 0);
}

/// 0 keeps a size of the input, -1 is what is left.
void reshape(Context& context) {
  onnx::propagateElemTypeFromInputToOutput(context, 0, 0);
  std::vector<int64_t> wanted;
  if (!onnx::getRepeatedAttribute(context, "shape", wanted)) return;
  const onnx::TensorShapeProto* input = onnx::hasInputShape(context, 0) ? &onnx::getInputShape(context, 0) : nullptr;
  onnx::TensorShapeProto result;
  onnx::TensorShapeProto::Dimension known;
  known.set_dim_value(1);
  for (int i = 0; i < static_cast<int>(wanted.size()); ++i) {
    auto& dim = *result.add_dim();
    if (wanted[static_cast<size_t>(i)] > 0) dim.set_dim_value(wanted[static_cast<size_t>(i)]);
    if (wanted[static_cast<size_t>(i)] == 0 && input != nullptr && i < input->dim_size()) dim = input->dim(i);
    if (wanted[static_cast<size_t>(i)] != -1) known = known * dim;
  }
  const auto rest = std::find(wanted.begin(), wanted.end(), -1);
  if (rest != wanted.end() && input != nullptr) {
    onnx::TensorShapeProto::Dimension all;
    all.set_dim_value(1);
    for (const auto& dim : input->dim()) all = all * dim;
    if (all.has_dim_value() && known.has_dim_value() && known.dim_value() > 0) {
      result.mutable_dim(static_cast<int>(rest - wanted.begin()))->set_dim_value(all.dim_value() / known.dim_value());
    }
  }
  onnx::updateOutputShape(context, 0, result);
}

/// Empty where nothing is known.
Infer inference_of(const onnx::OpSchema& schema) {
  const std::string& name = schema.Name();
  const int version = schema.SinceVersion();
  if (version < kBroadcastsBothWays && is_among(name, kArithmetic)) return like_first;
  if (version < kBroadcastsBothWays && is_among(name, kLogic)) return truth_like_first;
  if (version < kReshapeReadsItsShape && name == "Reshape") return reshape;
  for (int later = version + 1; later <= kInferenceIsComplete; ++later) {
    const onnx::OpSchema* next = graph::schemas().GetSchema(name, later, schema.domain());
    if (next != nullptr && next->has_type_and_shape_inference_function()) {
      return next->GetTypeAndShapeInferenceFunction();
    }
  }
  return {};
}

}  // namespace

// NOLINTNEXTLINE(google-default-arguments): as the interface has it
const onnx::OpSchema* OldShapes::GetSchema(const std::string& name, int newest, const std::string& domain) const {
  const onnx::OpSchema* schema = graph::schemas().GetSchema(name, newest, domain);
  if (schema == nullptr || !domain.empty() || schema->has_type_and_shape_inference_function()) return schema;
  auto& made = schemas_[{name, schema->SinceVersion()}];
  if (made == nullptr) {
    made = std::make_unique<onnx::OpSchema>(*schema);
    if (Infer infer = inference_of(*schema)) {
      made->TypeAndShapeInferenceFunction([infer = std::move(infer)](Context& context) {
        try {
          infer(context);
        } catch (const onnx::InferenceError&) {
        }
      });
    }
  }
  return made.get();
}

}  // namespace narrow::io
