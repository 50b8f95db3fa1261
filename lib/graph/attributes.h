// Attributes of a node by name, with the operator's default where the node has none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// The attribute, or nullptr.
const onnx::AttributeProto* find_attribute(const onnx::NodeProto& node, std::string_view name);

/// Each throws Error(kModel) if the attribute exists with another type.
int64_t int_attribute(const onnx::NodeProto& node, std::string_view name, int64_t otherwise);
float float_attribute(const onnx::NodeProto& node, std::string_view name, float otherwise);
std::string string_attribute(const onnx::NodeProto& node, std::string_view name, std::string_view otherwise);
std::vector<int64_t> ints_attribute(const onnx::NodeProto& node, std::string_view name,
                                    std::vector<int64_t> otherwise = {});
std::vector<float> floats_attribute(const onnx::NodeProto& node, std::string_view name);
std::vector<std::string> strings_attribute(const onnx::NodeProto& node, std::string_view name);

void set_int_attribute(onnx::NodeProto& node, std::string_view name, int64_t value);
void set_float_attribute(onnx::NodeProto& node, std::string_view name, float value);
void set_ints_attribute(onnx::NodeProto& node, std::string_view name, const std::vector<int64_t>& values);

}  // namespace narrow::graph
