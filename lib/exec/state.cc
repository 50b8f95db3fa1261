#include "lib/exec/state.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/base/suggest.h"
#include "lib/tensor/own_copy.h"

namespace narrow::exec {
namespace {

size_t position_of(const std::vector<std::string>& names, const std::string& name, const char* what) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  throw Error(ErrorKind::kUsage, "the model has no {} '{}'{}", what, name, did_you_mean(name, names));
}

std::vector<StateDimension> first_state(const Program& program, const StateLink& link) {
  if (!link.first.empty()) return link.first;
  const Shape* declared = program.input_shape(link.input);
  if (declared == nullptr) {
    throw Error(ErrorKind::kUsage, "input '{}' is of unknown rank: there is no state to begin with", link.input);
  }
  std::vector<StateDimension> first;
  for (const int64_t size : *declared) first.push_back({.size = size < 0 ? 1 : size});
  return first;
}

}  // namespace

State::State(const Program& program, const std::vector<StateLink>& links) {
  for (const StateLink& link : links) {
    position_of(program.input_names(), link.input, "input");
    cells_.push_back({.input = link.input,
                      .output = position_of(program.output_names(), link.output, "output"),
                      .type = program.input_type(link.input),
                      .first = first_state(program, link)});
  }
}

Tensor State::zeros(const Cell& cell, const Feed& feed) {
  Shape shape;
  for (const StateDimension& dimension : cell.first) {
    const auto found = feed.find(dimension.input);
    const bool given = found != feed.end() && dimension.axis < found->second.shape().size();
    shape.push_back(given ? found->second.shape()[dimension.axis] : dimension.size);
  }
  Tensor tensor(cell.type, std::move(shape));
  std::fill_n(tensor.mutable_bytes(), tensor.byte_size(), std::byte{0});
  return tensor;
}

Feed State::complete(Feed feed) const {
  for (const Cell& cell : cells_) feed[cell.input] = cell.value ? *cell.value : zeros(cell, feed);
  return feed;
}

void State::update(const std::vector<Tensor>& outputs) {
  for (Cell& cell : cells_) cell.value = own_copy(outputs[cell.output]);
}

int64_t State::byte_size() const {
  int64_t total = 0;
  for (const Cell& cell : cells_) total += cell.value ? static_cast<int64_t>(cell.value->byte_size()) : 0;
  return total;
}

}  // namespace narrow::exec
