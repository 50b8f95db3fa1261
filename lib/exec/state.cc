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

Tensor zeros(const Program& program, const std::string& input) {
  const Shape* declared = program.input_shape(input);
  if (declared == nullptr) {
    throw Error(ErrorKind::kUsage, "input '{}' is of unknown rank: there is no state to begin with", input);
  }
  Shape shape = *declared;
  for (int64_t& dimension : shape) dimension = dimension < 0 ? 1 : dimension;
  Tensor tensor(program.input_type(input), std::move(shape));
  std::fill_n(tensor.mutable_bytes(), tensor.byte_size(), std::byte{0});
  return tensor;
}

}  // namespace

State::State(const Program& program, const std::vector<StateLink>& links) {
  for (const StateLink& link : links) {
    position_of(program.input_names(), link.input, "input");
    cells_.push_back(
        {link.input, position_of(program.output_names(), link.output, "output"), zeros(program, link.input)});
  }
}

Feed State::complete(Feed feed) const {
  for (const Cell& cell : cells_) feed[cell.input] = cell.value;
  return feed;
}

void State::update(const std::vector<Tensor>& outputs) {
  for (Cell& cell : cells_) cell.value = own_copy(outputs[cell.output]);
}

int64_t State::byte_size() const {
  int64_t total = 0;
  for (const Cell& cell : cells_) total += static_cast<int64_t>(cell.value.byte_size());
  return total;
}

}  // namespace narrow::exec
