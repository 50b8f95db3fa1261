#include "lib/exec/kernels/contrib/composition.h"

#include "lib/exec/layout.h"

namespace narrow::exec {

struct Composition::Step {
  KernelPtr kernel;
  std::vector<ValueId> inputs;
  ValueId first_output = kNoValue;  // the others have the ids behind it
  size_t outputs = 1;
};

struct Composition::Plan {
  size_t inputs = 0;          // of the node; their ids are their indices
  std::vector<Tensor> known;  // by id; undefined where only a run knows
  std::vector<Step> steps;
  std::vector<ValueId> outputs;
  std::vector<size_t> last_reader;  // by id: index of the last step that reads it, or of none

  void run(std::span<Tensor> given, std::span<Tensor> results, Workspace& workspace) const {
    std::vector<Tensor> values = known;
    for (size_t i = 0; i < inputs && i < given.size(); ++i) {
      if (!values[i].defined()) values[i] = std::move(given[i]);
    }
    for (size_t k = 0; k < steps.size(); ++k) {
      const Step& step = steps[k];
      arrange_layouts(step.kernel->layout_use(), step.inputs, values, workspace);
      std::vector<Tensor> arguments;
      for (const ValueId id : step.inputs)
        arguments.push_back(id == kNoValue ? Tensor() : values[static_cast<size_t>(id)]);
      // What nobody reads later is given away, so that it may be computed into.
      for (const ValueId id : step.inputs) {
        if (id != kNoValue && last_reader[static_cast<size_t>(id)] == k) values[static_cast<size_t>(id)] = Tensor();
      }
      step.kernel->run(arguments, std::span(&values[static_cast<size_t>(step.first_output)], step.outputs), workspace);
    }
    for (size_t i = 0; i < results.size() && i < outputs.size(); ++i) {
      if (outputs[i] != kNoValue) results[i] = values[static_cast<size_t>(outputs[i])];
    }
  }
};

namespace {

onnx::AttributeProto named(const std::string& name, onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto attribute;
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

}  // namespace

onnx::AttributeProto attribute_of(const std::string& name, int64_t value) {
  onnx::AttributeProto attribute = named(name, onnx::AttributeProto::INT);
  attribute.set_i(value);
  return attribute;
}

onnx::AttributeProto attribute_of(const std::string& name, float value) {
  onnx::AttributeProto attribute = named(name, onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
  return attribute;
}

onnx::AttributeProto attribute_of(const std::string& name, const std::string& value) {
  onnx::AttributeProto attribute = named(name, onnx::AttributeProto::STRING);
  attribute.set_s(value);
  return attribute;
}

onnx::AttributeProto attribute_of(const std::string& name, const std::vector<int64_t>& values) {
  onnx::AttributeProto attribute = named(name, onnx::AttributeProto::INTS);
  attribute.mutable_ints()->Add(values.begin(), values.end());
  return attribute;
}

Attributes attributes_named(const onnx::NodeProto& node, std::initializer_list<std::string_view> names) {
  Attributes found;
  for (const std::string_view name : names) {
    if (const auto* attribute = graph::find_attribute(node, name)) found.push_back(*attribute);
  }
  return found;
}

Composition::Composition(const KernelRequest& request) : request_(request), plan_(std::make_shared<Plan>()) {
  plan_->inputs = static_cast<size_t>(request.node->input_size());
  plan_->known.resize(plan_->inputs);
  for (size_t i = 0; i < plan_->inputs; ++i) {
    plan_->known[i] = Operand(request, i).constant();
    if (plan_->known[i].defined()) known_[static_cast<ValueId>(i)] = plan_->known[i];
  }
}

ValueId Composition::input(size_t index) const {
  const auto position = static_cast<int>(index);
  const bool present = position < request_.node->input_size() && !request_.node->input(position).empty();
  return present ? position : kNoValue;
}

ValueId Composition::constant(Tensor value) {
  const auto id = static_cast<ValueId>(plan_->known.size());
  known_[id] = value;
  plan_->known.push_back(std::move(value));
  return id;
}

ValueId Composition::add(const std::string& op_type, const std::vector<ValueId>& inputs, const Attributes& attributes,
                         int opset) {
  return add_outputs(op_type, inputs, 1, attributes, opset)[0];
}

std::vector<ValueId> Composition::add_outputs(const std::string& op_type, const std::vector<ValueId>& inputs,
                                              int outputs, const Attributes& attributes, int opset) {
  onnx::NodeProto node;
  node.set_name(request_.node->name());
  node.set_op_type(op_type);
  for (const ValueId id : inputs) node.add_input(id == kNoValue ? "" : std::to_string(id));
  for (const onnx::AttributeProto& attribute : attributes) *node.add_attribute() = attribute;
  std::vector<ValueId> ids;
  for (int i = 0; i < outputs; ++i) {
    ids.push_back(static_cast<ValueId>(plan_->known.size()));
    node.add_output(std::to_string(ids.back()));
    plan_->known.emplace_back();
  }
  KernelRequest inner{.node = &node, .opset = opset, .model = request_.model, .options = request_.options};
  inner.constant = [&](int input) -> const Tensor* {
    const auto found = known_.find(inputs[static_cast<size_t>(input)]);
    return found == known_.end() ? nullptr : &found->second;
  };
  plan_->steps.push_back({make_kernel(inner), inputs, ids[0], ids.size()});
  return ids;
}

ValueId Composition::add_if_present(ValueId a, ValueId b) {
  return b == kNoValue ? a : add("Add", {a, b});
}

ValueId Composition::dequantized(size_t first, const Attributes& attributes) {
  return add("DequantizeLinear", {input(first), input(first + 1), input(first + 2)}, attributes);
}

ValueId Composition::quantized(ValueId value, size_t first) {
  return add("QuantizeLinear", {value, input(first), input(first + 1)});
}

KernelPtr Composition::kernel(const std::vector<ValueId>& outputs) {
  plan_->outputs = outputs;
  plan_->last_reader.assign(plan_->known.size(), plan_->steps.size());
  for (size_t k = 0; k < plan_->steps.size(); ++k) {
    for (const ValueId id : plan_->steps[k].inputs) {
      if (id != kNoValue) plan_->last_reader[static_cast<size_t>(id)] = k;
    }
  }
  for (const ValueId id : outputs) {
    if (id != kNoValue) plan_->last_reader[static_cast<size_t>(id)] = plan_->steps.size();
  }
  return kernel_of(
      [plan = std::shared_ptr<const Plan>(plan_)](std::span<Tensor> inputs, std::span<Tensor> results,
                                                  Workspace& workspace) { plan->run(inputs, results, workspace); });
}

}  // namespace narrow::exec
