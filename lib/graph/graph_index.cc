#include "lib/graph/graph_index.h"
#include "lib/graph/tensor_shape.h"

#include <algorithm>
#include <unordered_set>

namespace narrow::graph {

ValueType value_type(const onnx::TypeProto& type) {
  if (type.has_sequence_type()) return {.type = DataType::kSequence, .shape = std::nullopt};
  if (!type.has_tensor_type()) return {};
  const onnx::TypeProto::Tensor& tensor = type.tensor_type();
  ValueType result{.type = static_cast<DataType>(tensor.elem_type()), .shape = std::nullopt};
  if (!tensor.has_shape()) return result;
  result.shape.emplace();
  for (const auto& dimension : tensor.shape().dim()) {
    result.shape->push_back(dimension.has_dim_value() ? dimension.dim_value() : -1);
  }
  return result;
}

GraphIndex::GraphIndex(const onnx::GraphProto& graph, Depth depth) {
  add_values(graph);
  add_nodes(graph, depth);
  // When all names are known, so that a graph that is not sorted loses no capture.
  if (depth == Depth::kGraph) add_captures(graph);
}

void GraphIndex::add_values(const onnx::GraphProto& graph) {
  for (const onnx::ValueInfoProto& info : graph.value_info()) values_[info.name()].info = &info;
  for (const onnx::ValueInfoProto& input : graph.input()) {
    Entry& entry = values_[input.name()];
    entry.info = &input;
    entry.graph = &graph;
    entry.is_input = entry.exists = true;
  }
  for (const onnx::ValueInfoProto& output : graph.output()) {
    Entry& entry = values_[output.name()];
    // A body may return a value from around it, which is declared there.
    if (entry.graph == nullptr) entry.info = &output;
    entry.is_output = true;
  }
  for (const onnx::TensorProto& initializer : graph.initializer()) {
    Entry& entry = values_[initializer.name()];
    entry.initializer = &initializer;
    entry.graph = &graph;
    entry.exists = true;
  }
}

void GraphIndex::add_nodes(const onnx::GraphProto& graph, Depth depth) {
  for (const onnx::NodeProto& node : graph.node()) {
    nodes_.emplace(node.name(), &node);
    graphs_.emplace(&node, &graph);
    for (const std::string& output : node.output()) {
      if (output.empty()) continue;
      Entry& entry = values_[output];
      entry.producer = &node;
      entry.graph = &graph;
      entry.exists = true;
    }
    for (int i = 0; i < node.input_size(); ++i) {
      if (!node.input(i).empty()) values_[node.input(i)].uses.push_back({&node, i});
    }
    if (depth == Depth::kGraph) continue;
    for_each_subgraph(node, [&](const onnx::GraphProto& subgraph) {
      add_values(subgraph);
      add_nodes(subgraph, depth);
    });
  }
}

void GraphIndex::add_captures(const onnx::GraphProto& graph) {
  for (const onnx::NodeProto& node : graph.node()) {
    for_each_subgraph(node, [&](const onnx::GraphProto& subgraph) {
      for (const std::string& value : captured_values(subgraph)) {
        // Names in uses must outlive this loop: look up the key that the graph itself owns.
        const auto found = values_.find(value);
        if (found != values_.end()) found->second.uses.push_back({&node, Use::kCaptured});
      }
    });
  }
}

const GraphIndex::Entry* GraphIndex::find(std::string_view value) const {
  const auto found = values_.find(value);
  return found == values_.end() ? nullptr : &found->second;
}

const onnx::NodeProto* GraphIndex::producer(std::string_view value) const {
  const Entry* entry = find(value);
  return entry == nullptr ? nullptr : entry->producer;
}

std::span<const Use> GraphIndex::uses(std::string_view value) const {
  const Entry* entry = find(value);
  return entry == nullptr ? std::span<const Use>() : entry->uses;
}

const onnx::TensorProto* GraphIndex::initializer(std::string_view value) const {
  const Entry* entry = find(value);
  return entry == nullptr ? nullptr : entry->initializer;
}

bool GraphIndex::is_input(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr && entry->is_input;
}

bool GraphIndex::is_output(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr && entry->is_output;
}

bool GraphIndex::has_value(std::string_view value) const {
  const Entry* entry = find(value);
  return entry != nullptr && entry->exists;
}

ValueType GraphIndex::type(std::string_view value) const {
  const Entry* entry = find(value);
  if (entry == nullptr) return {};
  if (entry->initializer != nullptr) {
    return {static_cast<DataType>(entry->initializer->data_type()), shape_of(*entry->initializer)};
  }
  return entry->info == nullptr ? ValueType{} : value_type(entry->info->type());
}

const onnx::NodeProto* GraphIndex::node(std::string_view name) const {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : found->second;
}

std::vector<std::string> captured_values(const onnx::GraphProto& subgraph) {
  std::unordered_set<std::string> known;
  for (const auto& input : subgraph.input()) known.insert(input.name());
  for (const auto& initializer : subgraph.initializer()) known.insert(initializer.name());
  for (const auto& initializer : subgraph.sparse_initializer()) known.insert(initializer.values().name());
  std::vector<std::string> captured;
  const auto note = [&](const std::string& value) {
    if (!value.empty() && known.insert(value).second) captured.push_back(value);
  };
  for (const onnx::NodeProto& node : subgraph.node()) {
    for (const std::string& input : node.input()) note(input);
    for_each_subgraph(node, [&](const onnx::GraphProto& inner) {
      for (const std::string& value : captured_values(inner)) note(value);
    });
    known.insert(node.output().begin(), node.output().end());
  }
  // A body may return an outer value directly.
  for (const auto& output : subgraph.output()) note(output.name());
  return captured;
}

std::vector<std::string> reads_of(const onnx::NodeProto& node) {
  std::vector<std::string> reads(node.input().begin(), node.input().end());
  std::unordered_set<std::string> captured;
  for_each_subgraph(node, [&](const onnx::GraphProto& subgraph) {
    for (std::string& value : captured_values(subgraph)) {
      if (captured.insert(value).second) reads.push_back(std::move(value));
    }
  });
  return reads;
}

const onnx::GraphProto* GraphIndex::graph_of(const onnx::NodeProto& node) const {
  const auto found = graphs_.find(&node);
  return found == graphs_.end() ? nullptr : found->second;
}

const onnx::GraphProto* GraphIndex::graph_of(std::string_view value) const {
  const Entry* entry = find(value);
  return entry == nullptr ? nullptr : entry->graph;
}

}  // namespace narrow::graph
