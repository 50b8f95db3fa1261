#include "lib/exec/shared_constants.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace narrow::exec {

void SharedConstants::add_source(const std::string& value, size_t bytes) {
  // What a body around this one has computed is a source to this one only in so far as it is a result.
  if (parents_.try_emplace(value, value).second) sources_.emplace(value, bytes);
}

bool SharedConstants::any_of(const std::vector<std::string>& values) const {
  return std::any_of(values.begin(), values.end(), [&](const auto& value) { return parents_.contains(value); });
}

void SharedConstants::add_result(const std::vector<std::string>& reads, const std::string& output,
                                 const Tensor& value) {
  results_.emplace(output, value);
  parents_.emplace(output, output);
  for (const std::string& read : reads) {
    if (parents_.contains(read)) join(output, read);
  }
}

const std::string& SharedConstants::family_of(const std::string& value) const {
  const std::string& parent = parents_.at(value);
  return parent == value ? parent : family_of(parent);
}

void SharedConstants::join(const std::string& value, const std::string& other) {
  const std::string family = family_of(other);
  parents_[family_of(value)] = family;
}

bool SharedConstants::stays_in_use(const std::string& value, const graph::GraphIndex& index,
                                   const std::map<std::string, Tensor>& others) const {
  if (index.is_output(value)) return true;
  const auto goes = [&](const std::string& output) {
    return output.empty() || results_.contains(output) || others.contains(output);
  };
  const auto uses = index.uses(value);
  return !std::all_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
    return std::all_of(use.node->output().begin(), use.node->output().end(), goes);
  });
}

std::map<std::string, SharedConstants::Room> SharedConstants::rooms(const graph::GraphIndex& index,
                                                                    const std::map<std::string, Tensor>& others) const {
  std::map<std::string, Room> rooms;
  for (const auto& [source, bytes] : sources_) {
    Room& room = rooms[family_of(source)];
    room.before += bytes;
    if (stays_in_use(source, index, others)) room.after += bytes;
  }
  std::set<const std::byte*> seen;
  for (const auto& [name, value] : results_) {
    if (!stays_in_use(name, index, others)) continue;
    // What a body gives out it has to have itself.
    if (index.is_output(name) || seen.insert(value.bytes()).second) rooms[family_of(name)].after += value.byte_size();
  }
  return rooms;
}

void SharedConstants::unite_equal_results() {
  std::map<std::tuple<DataType, Shape, std::string_view>, Tensor> first;
  for (auto& [name, value] : results_) {
    const std::string_view bytes(reinterpret_cast<const char*>(value.bytes()), value.byte_size());
    const auto [found, is_new] = first.try_emplace({value.type(), value.shape(), bytes}, value);
    if (!is_new) value = found->second;
  }
}

std::map<std::string, Tensor> SharedConstants::worth_storing(const graph::GraphIndex& index,
                                                             const std::map<std::string, Tensor>& others) {
  unite_equal_results();
  const std::map<std::string, Room> all = rooms(index, others);
  std::map<std::string, Tensor> worth;
  for (const auto& [name, value] : results_) {
    const Room& room = all.at(family_of(name));
    if (room.after <= room.before) worth.emplace(name, value);
  }
  return worth;
}

}  // namespace narrow::exec
