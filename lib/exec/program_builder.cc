#include <set>
#include <utility>

#include "lib/base/error.h"
#include "lib/exec/batch_parts.h"
#include "lib/exec/program.h"

namespace narrow::exec {

int ProgramBuilder::slot(const std::string& name) {
  if (name.empty()) return -1;
  const auto [found, is_new] = slots_.try_emplace(name, static_cast<int>(program_.slot_names_.size()));
  if (is_new) {
    program_.slot_names_.push_back(name);
    program_.constants_.emplace_back();
  }
  return found->second;
}

void ProgramBuilder::add_input(const std::string& name, DataType type, const Shape* shape) {
  program_.inputs_.push_back({.name = name,
                              .type = type,
                              .has_shape = shape != nullptr,
                              .shape = shape == nullptr ? Shape{} : *shape,
                              .slot = slot(name)});
  program_.input_names_.push_back(name);
}

void ProgramBuilder::add_constant(const std::string& name, Tensor tensor) {
  const int index = slot(name);
  program_.constants_[static_cast<size_t>(index)] = std::move(tensor);
}

void ProgramBuilder::add_step(StepInfo info, KernelPtr kernel, const std::vector<std::string>& inputs,
                              const std::vector<std::string>& outputs, std::optional<Shape> shape) {
  Program::Step step{.info = std::move(info),
                     .kernel = std::move(kernel),
                     .inputs = {},
                     .outputs = {},
                     .last_use = {},
                     .shape = std::move(shape)};
  for (const std::string& name : inputs) step.inputs.push_back(slot(name));
  for (const std::string& name : outputs) step.outputs.push_back(slot(name));
  program_.steps_.push_back(std::move(step));
}

void ProgramBuilder::add_output(const std::string& name) {
  program_.output_names_.push_back(name);
  program_.output_slots_.push_back(slot(name));
}

void ProgramBuilder::treat_samples_apart(Apart apart) {
  program_.spare_ = std::make_shared<SpareWorkspaces>(apart == Apart::kSamples);
}

Program ProgramBuilder::finish() {
  std::vector<bool> made(program_.slot_names_.size(), false);
  for (size_t i = 0; i < made.size(); ++i) made[i] = program_.constants_[i].defined();
  for (const Program::Input& input : program_.inputs_) made[static_cast<size_t>(input.slot)] = true;
  const auto check_made = [&](int index, const std::string& reader) {
    if (index < 0 || made[static_cast<size_t>(index)]) return;
    throw Error(ErrorKind::kModel, "{} reads value '{}', which nothing before it makes", reader,
                program_.slot_names_[static_cast<size_t>(index)]);
  };
  for (const Program::Step& step : program_.steps_) {
    for (const int input : step.inputs) check_made(input, fmt::format("node '{}'", step.info.node));
    for (const int output : step.outputs) {
      if (output >= 0) made[static_cast<size_t>(output)] = true;
    }
  }
  for (const int output : program_.output_slots_) check_made(output, "the graph's output");

  std::set<int> read_later(program_.output_slots_.begin(), program_.output_slots_.end());
  for (auto step = program_.steps_.rbegin(); step != program_.steps_.rend(); ++step) {
    step->last_use.assign(step->inputs.size(), false);
    // From the back: of two readings by one step, the second is the last.
    for (size_t i = step->inputs.size(); i-- > 0;) {
      if (step->inputs[i] >= 0) step->last_use[i] = read_later.insert(step->inputs[i]).second;
    }
  }
  return std::move(program_);
}

}  // namespace narrow::exec
