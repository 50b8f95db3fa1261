#include "lib/graph/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"

namespace narrow::graph {
namespace {

void collect_names(const onnx::GraphProto& graph, std::set<std::string>& names) {
  for (const auto& input : graph.input()) names.insert(input.name());
  for (const auto& initializer : graph.initializer()) names.insert(initializer.name());
  for (const auto& initializer : graph.sparse_initializer()) names.insert(initializer.values().name());
  for (const onnx::NodeProto& node : graph.node()) {
    names.insert(node.name());
    names.insert(node.output().begin(), node.output().end());
    for_each_subgraph(node, [&](const onnx::GraphProto& subgraph) { collect_names(subgraph, names); });
  }
}

using Redirections = GraphEditor::Redirections;

void rename_reads(onnx::NodeProto& node, const Redirections& redirections);

void rename(std::string& name, const Redirections& redirections) {
  const auto found = redirections.find(name);
  if (found != redirections.end()) name = found->second;
}

void rename_captures(onnx::GraphProto& subgraph, const Redirections& redirections) {
  // Only what the body captures: a value of its own under an outer name is another value.
  Redirections captured;
  for (const std::string& value : captured_values(subgraph)) {
    const auto found = redirections.find(value);
    if (found != redirections.end()) captured.insert(*found);
  }
  if (captured.empty()) return;
  for (onnx::NodeProto& node : *subgraph.mutable_node()) rename_reads(node, captured);
  for (onnx::ValueInfoProto& output : *subgraph.mutable_output()) rename(*output.mutable_name(), captured);
}

void rename_reads(onnx::NodeProto& node, const Redirections& redirections) {
  for (std::string& input : *node.mutable_input()) rename(input, redirections);
  for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
    if (attribute.has_g()) rename_captures(*attribute.mutable_g(), redirections);
    for (onnx::GraphProto& subgraph : *attribute.mutable_graphs()) rename_captures(subgraph, redirections);
  }
}

template <class Field, class Keep>
void keep_if(Field& field, Keep keep) {
  int kept = 0;
  for (int i = 0; i < field.size(); ++i) {
    if (!keep(field.Get(i))) continue;
    if (kept != i) field.SwapElements(kept, i);
    ++kept;
  }
  field.DeleteSubrange(kept, field.size() - kept);
}

std::unordered_set<std::string> values_in_use(const onnx::GraphProto& graph) {
  std::unordered_set<std::string> used;
  for (const auto& output : graph.output()) used.insert(output.name());
  for (const onnx::NodeProto& node : graph.node()) {
    for (std::string& value : reads_of(node)) used.insert(std::move(value));
  }
  return used;
}

/// Depth-first over producers, in the graph's own order, so that a sorted graph stays as it is.
class TopologicalOrder {
 public:
  explicit TopologicalOrder(const onnx::GraphProto& graph)
      : graph_(graph), state_(static_cast<size_t>(graph.node_size())) {
    for (int i = 0; i < graph.node_size(); ++i) {
      for (const std::string& output : graph.node(i).output()) producer_[output] = i;
    }
    for (int i = 0; i < graph.node_size(); ++i) visit(i);
  }
  const std::vector<int>& order() const { return order_; }

 private:
  enum class State { kNew, kOpen, kDone };

  void visit(int root) {
    // An explicit stack: graphs are deeper than call stacks.
    struct Frame {
      int node;
      std::vector<std::string> reads;
      size_t next = 0;
    };
    std::vector<Frame> stack;
    const auto open = [&](int node) {
      state_[static_cast<size_t>(node)] = State::kOpen;
      stack.push_back({node, reads_of(graph_.node(node))});
    };
    if (state_[static_cast<size_t>(root)] == State::kNew) open(root);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == frame.reads.size()) {
        state_[static_cast<size_t>(frame.node)] = State::kDone;
        order_.push_back(frame.node);
        stack.pop_back();
        continue;
      }
      const auto found = producer_.find(frame.reads[frame.next++]);
      if (found == producer_.end() || found->first.empty()) continue;
      const State state = state_[static_cast<size_t>(found->second)];
      if (state == State::kOpen) {
        throw Error(ErrorKind::kModel, "node '{}' is on a cycle", node_label(graph_.node(found->second)));
      }
      if (state == State::kNew) open(found->second);
    }
  }

  const onnx::GraphProto& graph_;
  std::vector<State> state_;
  std::unordered_map<std::string, int> producer_;
  std::vector<int> order_;
};

constexpr size_t kLongName = 64;

/// Both ends of a long name. UTF-8 stays whole.
std::string shortened(const std::string& name) {
  if (name.size() <= kLongName) return name;
  const auto inside = [&](size_t at) { return (static_cast<unsigned char>(name[at]) & 0xC0U) == 0x80; };
  size_t head = kLongName / 2;
  while (head > 0 && inside(head)) --head;
  size_t tail = name.size() - kLongName / 2;
  while (tail < name.size() && inside(tail)) ++tail;
  return name.substr(0, head) + "..." + name.substr(tail);
}

}  // namespace

GraphEditor::GraphEditor(Model& model) : model_(model), graph_(&model.mutable_graph()) {
  collect_names(model.graph(), names_);
}

std::string GraphEditor::unique_name(const std::string& wanted) {
  const std::string base = shortened(wanted);
  std::string name = base;
  for (int i = 2; !names_.insert(name).second; ++i) name = fmt::format("{}_{}", base, i);
  return name;
}

onnx::NodeProto& GraphEditor::add_node(std::string_view op_type, const std::string& name,
                                       const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                                       std::string_view domain) {
  onnx::NodeProto& node = *graph_->add_node();
  node.set_op_type(std::string(op_type));
  node.set_name(unique_name(name));
  if (!domain.empty()) node.set_domain(std::string(domain));
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  return node;
}

onnx::NodeProto& GraphEditor::add_value(const std::string& op_type, const std::string& wanted,
                                        const std::vector<std::string>& inputs) {
  const std::string name = unique_name(wanted);
  return add_node(op_type, name + "_" + op_type, inputs, {name});
}

std::string GraphEditor::add_initializer(const std::string& wanted, const Tensor& tensor) {
  std::string name = unique_name(wanted);
  *graph_->add_initializer() = tensor_proto(name, tensor);
  return name;
}

std::pair<onnx::GraphProto*, int> GraphEditor::find_initializer(const std::string& name) {
  std::pair<onnx::GraphProto*, int> found{nullptr, 0};
  for_each_graph(model_.mutable_graph(), [&](onnx::GraphProto& graph) {
    for (int i = 0; i < graph.initializer_size(); ++i) {
      if (graph.initializer(i).name() == name) found = {&graph, i};
    }
  });
  ensure(found.first != nullptr, "an initializer that is asked for exists");
  return found;
}

void GraphEditor::replace_initializer(const std::string& name, const Tensor& tensor) {
  const auto [graph, index] = find_initializer(name);
  *graph->mutable_initializer(index) = tensor_proto(name, tensor);
}

void GraphEditor::redirect_uses(const Redirections& redirections) {
  for (onnx::NodeProto& node : *graph_->mutable_node()) rename_reads(node, redirections);
}

void GraphEditor::remove_node(const onnx::NodeProto* node) {
  removed_.insert(node);
}

void GraphEditor::finish(onnx::GraphProto& graph) {
  keep_if(*graph.mutable_node(), [&](const onnx::NodeProto& node) { return !removed_.contains(&node); });
  const auto used = values_in_use(graph);
  keep_if(*graph.mutable_initializer(), [&](const onnx::TensorProto& t) { return used.contains(t.name()); });
  std::unordered_set<std::string> made;
  for (const onnx::NodeProto& node : graph.node()) made.insert(node.output().begin(), node.output().end());
  keep_if(*graph.mutable_value_info(), [&](const onnx::ValueInfoProto& info) { return made.contains(info.name()); });
  sort_topologically(graph);
}

void GraphEditor::finish() {
  // Bodies first: what they no longer read may go from the graphs around them.
  std::vector<onnx::GraphProto*> graphs;
  for_each_graph(model_.mutable_graph(), [&](onnx::GraphProto& graph) { graphs.push_back(&graph); });
  std::for_each(graphs.rbegin(), graphs.rend(), [&](onnx::GraphProto* graph) { finish(*graph); });
  removed_.clear();
}

void sort_topologically(onnx::GraphProto& graph) {
  const std::vector<int> order = TopologicalOrder(graph).order();
  google::protobuf::RepeatedPtrField<onnx::NodeProto> sorted;
  sorted.Reserve(graph.node_size());
  for (const int index : order) sorted.Add()->Swap(graph.mutable_node(index));
  graph.mutable_node()->Swap(&sorted);
}

namespace {

void rename_definitions(onnx::GraphProto& body, const Redirections& names) {
  for (onnx::ValueInfoProto& input : *body.mutable_input()) rename(*input.mutable_name(), names);
  for (onnx::ValueInfoProto& info : *body.mutable_value_info()) rename(*info.mutable_name(), names);
  for (onnx::TensorProto& initializer : *body.mutable_initializer()) rename(*initializer.mutable_name(), names);
  for (onnx::SparseTensorProto& initializer : *body.mutable_sparse_initializer()) {
    rename(*initializer.mutable_values()->mutable_name(), names);
  }
  for (onnx::NodeProto& node : *body.mutable_node()) {
    for (std::string& output : *node.mutable_output()) rename(output, names);
  }
}

std::vector<std::string> defined_values(const onnx::GraphProto& graph) {
  std::vector<std::string> names;
  for (const auto& input : graph.input()) names.push_back(input.name());
  for (const auto& initializer : graph.initializer()) names.push_back(initializer.name());
  for (const auto& initializer : graph.sparse_initializer()) names.push_back(initializer.values().name());
  for (const onnx::NodeProto& node : graph.node()) {
    names.insert(names.end(), node.output().begin(), node.output().end());
  }
  return names;
}

}  // namespace

void make_names_unique(onnx::GraphProto& graph) {
  std::unordered_set<std::string> all;
  for_each_graph(std::as_const(graph), [&](const onnx::GraphProto& each) {
    for (const std::string& name : defined_values(each)) all.insert(name);
  });
  std::unordered_set<std::string> taken;
  for_each_graph(graph, [&](onnx::GraphProto& each) {
    Redirections renamed;
    for (const std::string& name : defined_values(each)) {
      const bool is_new = name.empty() || taken.insert(name).second;
      // An input that is also an initializer is one value.
      if (is_new || &each == &graph || renamed.contains(name)) continue;
      std::string other;
      int i = 2;
      do {
        other = fmt::format("{}_{}", name, i++);
      } while (!all.insert(other).second);
      taken.insert(other);
      renamed.emplace(name, other);
    }
    if (renamed.empty()) return;
    rename_definitions(each, renamed);
    // What it read of its own under the old names now looks captured.
    rename_captures(each, renamed);
  });
}

}  // namespace narrow::graph
