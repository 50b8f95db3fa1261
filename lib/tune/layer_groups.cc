#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "lib/analyze/analyze.h"
#include "lib/graph/graph_index.h"
#include "lib/tune/sensitivity.h"

namespace narrow::tune {
namespace {

/// Where a single computed value passes, by the number of the node behind the place. Only what layers with products
/// make counts as computed: masks and positions pass everywhere.
std::vector<bool> narrow_places(const onnx::GraphProto& graph, const std::unordered_set<std::string>& products) {
  const auto count = static_cast<size_t>(graph.node_size());
  std::unordered_map<std::string, size_t> last_use;
  for (const onnx::ValueInfoProto& output : graph.output()) last_use[output.name()] = count;
  for (size_t i = 0; i < count; ++i) {
    for (const std::string& value : graph::reads_of(graph.node(static_cast<int>(i)))) {
      size_t& last = last_use[value];
      last = std::max(last, i);
    }
  }
  std::vector<bool> places(count + 1, true);
  std::unordered_map<std::string, size_t> passing;  // computed values, with their last use
  std::unordered_set<std::string> computed;
  for (size_t i = 0; i < count; ++i) {
    std::erase_if(passing, [&](const auto& value) { return value.second < i; });
    places[i] = passing.size() <= 1;
    const onnx::NodeProto& node = graph.node(static_cast<int>(i));
    const std::vector<std::string> reads = graph::reads_of(node);
    const bool deep = products.contains(node.name()) || std::any_of(reads.begin(), reads.end(), [&](const auto& value) {
                        return computed.contains(value);
                      });
    if (!deep) continue;
    for (const std::string& value : node.output()) {
      const auto found = last_use.find(value);
      if (value.empty() || found == last_use.end()) continue;
      computed.insert(value);
      passing[value] = found->second;
    }
  }
  return places;
}

}  // namespace

std::vector<LayerGroup> layer_groups(const graph::Model& model, const Space& space) {
  const onnx::GraphProto& graph = model.graph();
  std::vector<LayerGroup> groups;
  std::map<std::string, std::vector<size_t>> by_type;
  std::unordered_map<std::string, size_t> item_of;
  std::unordered_set<std::string> products;
  for (size_t i = 0; i < space.items.size(); ++i) {
    const Item& item = space.items[i];
    if (item.macs > 0) products.insert(item.node);
    if (!is_quantized(item)) continue;
    groups.push_back({"layer " + item.node, {i}});
    by_type[item.op_type].push_back(i);
    item_of[item.node] = i;
  }
  const size_t layers = groups.size();
  for (auto& [type, items] : by_type) {
    if (items.size() > 1 && items.size() < layers) groups.push_back({"operator " + type, std::move(items)});
  }
  const std::vector<bool> places = narrow_places(graph, products);
  std::vector<size_t> block;
  for (size_t i = 0; i <= static_cast<size_t>(graph.node_size()); ++i) {
    const bool ends = i == static_cast<size_t>(graph.node_size());
    if (ends || places[i]) {
      if (block.size() > 1 && block.size() < layers) {
        groups.push_back(
            {fmt::format("block {} to {}", space.items[block.front()].node, space.items[block.back()].node), block});
      }
      block.clear();
    }
    if (ends) break;
    const auto found = item_of.find(graph.node(static_cast<int>(i)).name());
    if (found != item_of.end()) block.push_back(found->second);
  }
  return groups;
}

}  // namespace narrow::tune
