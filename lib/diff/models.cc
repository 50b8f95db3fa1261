#include "lib/diff/models.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "lib/diff/compare.h"
#include "lib/diff/model_facts.h"
#include "lib/report/format.h"
#include "lib/tensor/metrics.h"
#include "lib/tensor/shape.h"

namespace narrow::diff {
namespace {

std::vector<Entry> members(const Json& object) {
  std::vector<Entry> entries;
  for (const auto& [name, fields] : object.items()) entries.push_back({name, "", &fields});
  return entries;
}

std::vector<Entry> nodes_of(const ModelFacts& facts) {
  std::vector<Entry> entries;
  for (const NodeFacts& node : facts.nodes) entries.push_back({node.name, node.op_type, &node.fields});
  return entries;
}

struct Weight {
  std::string node;
  std::string name;
  const ConstantInput* constant = nullptr;
};

std::vector<Weight> weights_of(const ModelFacts& facts) {
  std::vector<Weight> weights;
  for (const NodeFacts& node : facts.nodes) {
    for (const ConstantInput& constant : node.constants) {
      weights.push_back({node.name, fmt::format("{} input {}", node.name, constant.input), &constant});
    }
  }
  return weights;
}

bool is_real(const Tensor& tensor) {
  return tensor.type() == DataType::kFloat32 || tensor.type() == DataType::kFloat16 ||
         tensor.type() == DataType::kBfloat16 || tensor.type() == DataType::kFloat64;
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && a.byte_size() == b.byte_size() && a.type() != DataType::kString &&
         std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0;
}

std::vector<Change> compare_weights(const ConstantInput& before, const ConstantInput& after) {
  std::vector<Change> changes;
  if (before.stored != after.stored)
    changes.push_back({"stored", before.stored, after.stored, before.stored + " -> " + after.stored});
  const std::string old_shape = shape_text(before.value.shape());
  const std::string new_shape = shape_text(after.value.shape());
  if (old_shape != new_shape) {
    changes.push_back({"shape", old_shape, new_shape, old_shape + " -> " + new_shape});
    return changes;
  }
  if (same_bytes(before.value, after.value)) return changes;
  if (!is_real(before.value) || !is_real(after.value)) {
    changes.push_back({"values", nullptr, nullptr, "other values; integers are not compared with each other"});
    return changes;
  }
  ErrorStatistics error;
  const Tensor old_values = to_float32(before.value);
  const Tensor new_values = to_float32(after.value);
  error.add(old_values.data<float>(), new_values.data<float>());
  if (error.max_abs_error() == 0) return changes;
  const WeightError off{.sqnr_db = error.sqnr_db(), .max_abs = error.max_abs_error()};
  changes.push_back({"values", nullptr, nullptr,
                     fmt::format("off by {} at most, SQNR {} dB", report::short_number_text(off.max_abs),
                                 report::number_text(off.sqnr_db, 1)),
                     off});
  return changes;
}

std::set<std::string> names_of(const ModelFacts& facts) {
  std::set<std::string> names;
  for (const NodeFacts& node : facts.nodes) names.insert(node.name);
  return names;
}

/// Of nodes that both have.
Group weights_group(const ModelFacts& before, const ModelFacts& after) {
  Group group{.name = "weights"};
  const std::set<std::string> old_nodes = names_of(before);
  const std::set<std::string> new_nodes = names_of(after);
  const std::vector<Weight> news = weights_of(after);
  std::map<std::string, const Weight*> by_name;
  for (const Weight& weight : news) by_name.emplace(weight.name, &weight);
  for (const Weight& weight : weights_of(before)) {
    if (!new_nodes.contains(weight.node)) continue;
    const std::string shape = shape_text(weight.constant->value.shape());
    const auto found = by_name.find(weight.name);
    if (found == by_name.end()) {
      group.removed.push_back({weight.name, shape});
      continue;
    }
    std::vector<Change> changes = compare_weights(*weight.constant, *found->second->constant);
    by_name.erase(found);
    if (changes.empty()) {
      ++group.same;
    } else {
      group.changed.push_back({weight.name, shape, std::move(changes)});
    }
  }
  for (const Weight& weight : news) {
    if (!by_name.contains(weight.name) || !old_nodes.contains(weight.node)) continue;
    group.added.push_back({weight.name, shape_text(weight.constant->value.shape())});
  }
  return group;
}

}  // namespace

std::vector<Group> compare_models(const ModelSide& before, const ModelSide& after) {
  const auto facts_of_side = [](const ModelSide& side) {
    ModelFacts facts = facts_of(side.compared);
    facts.model = file_facts(side.model);
    facts.model["file_bytes"] = side.file_bytes;
    facts.model["weight_bytes"] = side.weight_bytes;
    return facts;
  };
  const ModelFacts old_facts = facts_of_side(before);
  const ModelFacts new_facts = facts_of_side(after);
  std::vector<Group> groups;
  groups.push_back(compare_fields("model", old_facts.model, new_facts.model, {}));
  groups.push_back(compare_entries("inputs", members(old_facts.inputs), members(new_facts.inputs), {}));
  groups.push_back(compare_entries("outputs", members(old_facts.outputs), members(new_facts.outputs), {}));
  groups.push_back(compare_entries("nodes", nodes_of(old_facts), nodes_of(new_facts), {}));
  groups.push_back(weights_group(old_facts, new_facts));
  groups.push_back(compare_entries("quantized values", members(old_facts.quantized), members(new_facts.quantized), {}));
  groups.push_back(compare_fields("supporting nodes", old_facts.support, new_facts.support, {}));
  return groups;
}

}  // namespace narrow::diff
