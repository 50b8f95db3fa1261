#include "lib/exec/type_adapter.h"

#include <algorithm>
#include <array>
#include <map>

#include "lib/base/error.h"
#include "lib/exec/kernels/support.h"
#include "lib/graph/attributes.h"
#include "lib/graph/schemas.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::exec {
namespace {

// How one input's or output's type is found: operands of one type variable have the same type.
struct OperandRole {
  std::string variable;
  bool widens = false;
  bool moves = false;

  bool adapts(DataType type) const {
    if (type == DataType::kString || is_packed(type)) return moves;
    return widens && is_small_float(type);
  }
};

struct Roles {
  std::vector<OperandRole> inputs;
  std::vector<std::string> outputs;  // variables
};

const onnx::OpSchema::FormalParameter* formal(const std::vector<onnx::OpSchema::FormalParameter>& list, int index) {
  if (list.empty()) return nullptr;
  const size_t at = std::min(static_cast<size_t>(index), list.size() - 1);
  const bool beyond = static_cast<size_t>(index) >= list.size();
  const bool variadic = list[at].GetOption() == onnx::OpSchema::Variadic;
  if ((beyond && !variadic) || (variadic && !list[at].GetIsHomogeneous())) return nullptr;
  return &list[at];
}

OperandRole role_of(const onnx::OpSchema::FormalParameter& parameter, TypeUse use, bool combines) {
  const auto& types = parameter.GetTypes();
  const bool may_be_text =
      std::any_of(types.begin(), types.end(), [](const std::string* type) { return *type == "tensor(string)"; });
  const bool moves = use == TypeUse::kMoves || use == TypeUse::kMovesAndWidens;
  const bool widens =
      use == TypeUse::kWidens || use == TypeUse::kMovesAndWidens || (use == TypeUse::kBySchema && !may_be_text);
  return {.variable = parameter.GetTypeStr(), .widens = widens, .moves = moves && !combines};
}

// Scatter with a reduction and Resize with interpolation need numbers; else they move elements.
bool combines_elements(const onnx::NodeProto& node) {
  if (node.op_type() == "Resize" || node.op_type() == "Upsample") {
    return graph::string_attribute(node, "mode", "nearest") != "nearest";
  }
  return node.op_type().starts_with("Scatter") && graph::string_attribute(node, "reduction", "none") != "none";
}

// No inputs if there is nothing to adapt.
Roles roles_of(const KernelRequest& request, TypeUse use) {
  const onnx::NodeProto& node = *request.node;
  const onnx::OpSchema* schema = graph::find_schema(node, request.opset);
  if (schema == nullptr || use == TypeUse::kNative) return {};
  for (const char* names_type : {"dtype", "to", "output_dtype", "output_datatype"}) {
    if (use == TypeUse::kBySchema && schema->attributes().contains(names_type)) return {};
  }
  const bool combines = combines_elements(node);
  Roles roles;
  for (int i = 0; i < node.input_size(); ++i) {
    const auto* parameter = formal(schema->inputs(), i);
    roles.inputs.push_back(parameter == nullptr ? OperandRole() : role_of(*parameter, use, combines));
  }
  for (int i = 0; i < node.output_size(); ++i) {
    const auto* parameter = formal(schema->outputs(), i);
    roles.outputs.push_back(parameter == nullptr ? "" : parameter->GetTypeStr());
  }
  return roles;
}

// The distinct strings of some tensors; a string's code is its place.
class StringCodes {
 public:
  void add(const Tensor& tensor) { texts_.insert(texts_.end(), tensor.strings().begin(), tensor.strings().end()); }

  void sort() {
    texts_.emplace_back();
    std::sort(texts_.begin(), texts_.end());
    texts_.erase(std::unique(texts_.begin(), texts_.end()), texts_.end());
  }

  Tensor encoded(const Tensor& tensor, Workspace& workspace) const {
    Tensor codes = workspace.allocate(DataType::kInt64, tensor.shape());
    std::transform(
        tensor.strings().begin(), tensor.strings().end(), codes.mutable_data<int64_t>().begin(),
        [&](const std::string& text) { return std::lower_bound(texts_.begin(), texts_.end(), text) - texts_.begin(); });
    return codes;
  }

  Tensor decoded(const Tensor& codes) const {
    std::vector<std::string> result;
    for (const int64_t code : codes.data<int64_t>()) result.push_back(texts_.at(static_cast<size_t>(code)));
    return Tensor::of_strings(codes.shape(), std::move(result));
  }

 private:
  std::vector<std::string> texts_;
};

class AdaptedKernel final : public Kernel {
 public:
  AdaptedKernel(const KernelRequest& request, Roles roles, KernelFactory make) : roles_(std::move(roles)) {
    KernelRequest inner = request;
    if (request.constant) inner.constant = [&](int input) { return constant(request, input); };
    kernel_ = make(inner);
    widened_.clear();
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    // What the outputs become, by type variable.
    std::map<std::string, DataType> types;
    StringCodes codes;
    for (const auto& [input, type] : held_types_) types[role(input).variable] = type;
    for (const auto& [input, value] : held_) inputs[input] = value;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!role(i).adapts(inputs[i].type())) continue;
      types[role(i).variable] = inputs[i].type();
      if (inputs[i].type() == DataType::kString) codes.add(inputs[i]);
    }
    if (types.empty()) return kernel_->run(inputs, outputs, workspace);
    codes.sort();
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (role(i).adapts(inputs[i].type())) inputs[i] = carried(inputs[i], codes, workspace);
    }
    kernel_->run(inputs, outputs, workspace);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const auto found = i < roles_.outputs.size() ? types.find(roles_.outputs[i]) : types.end();
      if (found != types.end() && outputs[i].defined())
        outputs[i] = restored(outputs[i], found->second, codes, workspace);
    }
  }
  LayoutUse layout_use() const override { return kernel_->layout_use(); }
  std::string implementation() const override { return kernel_->implementation(); }

 private:
  const OperandRole& role(size_t input) const {
    static const OperandRole kNone;
    return input < roles_.inputs.size() ? roles_.inputs[input] : kNone;
  }

  // The kernel gets small floats widened; what else it does not know is kept here and passed as an input.
  const Tensor* constant(const KernelRequest& request, int index) {
    const Tensor* value = request.constant(index);
    const auto input = static_cast<size_t>(index);
    if (value == nullptr || !role(input).adapts(value->type())) return value;
    if (value->type() == DataType::kString || is_packed(value->type())) {
      held_[input] = *value;
      return nullptr;
    }
    held_types_[input] = value->type();
    return &(widened_[input] = to_float32(*value));
  }

  static Tensor carried(const Tensor& value, const StringCodes& codes, Workspace& workspace) {
    if (value.type() == DataType::kString) return codes.encoded(value, workspace);
    if (is_packed(value.type())) return unpacked(value, workspace);
    return convert_elements(value, DataType::kFloat32, workspace);
  }

  static Tensor restored(const Tensor& value, DataType type, const StringCodes& codes, Workspace& workspace) {
    if (type == DataType::kString) return codes.decoded(value);
    if (is_packed(type)) return packed(value, type, workspace);
    return convert_elements(value, type, workspace);
  }

  Roles roles_;
  KernelPtr kernel_;
  std::map<size_t, Tensor> held_;
  std::map<size_t, DataType> held_types_;
  std::map<size_t, Tensor> widened_;  // while the kernel is made
};

}  // namespace

KernelPtr adapt_types(const KernelRequest& request, TypeUse use, KernelFactory make) {
  Roles roles = roles_of(request, use);
  const bool any = std::any_of(roles.inputs.begin(), roles.inputs.end(),
                               [](const OperandRole& role) { return role.widens || role.moves; });
  if (!any) return make(request);
  return std::make_unique<AdaptedKernel>(request, std::move(roles), make);
}

}  // namespace narrow::exec
