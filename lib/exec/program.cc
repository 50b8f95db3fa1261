#include "lib/exec/program.h"

#include <algorithm>
#include <new>
#include <stdexcept>

#include "lib/base/error.h"
#include "lib/base/progress.h"
#include "lib/base/thread_scope.h"
#include "lib/exec/batch_parts.h"
#include "lib/exec/layout.h"
#include "lib/tensor/wrong_element_type.h"

namespace narrow::exec {
namespace {

bool fits(const Shape& shape, const Shape& declared) {
  return std::equal(shape.begin(), shape.end(), declared.begin(), declared.end(),
                    [](int64_t dimension, int64_t wanted) { return wanted < 0 || dimension == wanted; });
}

}  // namespace

DataType Program::input_type(const std::string& name) const {
  for (const Input& input : inputs_) {
    if (input.name == name) return input.type;
  }
  throw Error(ErrorKind::kData, "the model has no input '{}'", name);
}

const Shape* Program::input_shape(const std::string& name) const {
  for (const Input& input : inputs_) {
    if (input.name == name) return input.has_shape ? &input.shape : nullptr;
  }
  throw Error(ErrorKind::kData, "the model has no input '{}'", name);
}

std::vector<StepInfo> Program::steps() const {
  std::vector<StepInfo> result;
  for (const Step& step : steps_) result.push_back(step.info);
  return result;
}

void Program::check_feed(const Feed& feed) const {
  for (const auto& [name, tensor] : feed) {
    if (std::find(input_names_.begin(), input_names_.end(), name) == input_names_.end()) {
      throw Error(ErrorKind::kData, "the model has no input '{}'; its inputs are {}", name,
                  fmt::join(input_names_, ", "));
    }
  }
  for (const Input& input : inputs_) {
    const auto found = feed.find(input.name);
    if (found == feed.end() || !found->second.defined()) {
      throw Error(ErrorKind::kData, "input '{}' is missing", input.name);
    }
    const Tensor& tensor = found->second;
    const bool type_fits = input.type == DataType::kUndefined || tensor.type() == input.type;
    if (type_fits && (!input.has_shape || fits(tensor.shape(), input.shape))) continue;
    throw Error(ErrorKind::kData, "input '{}' is {} {}, expected {} {}", input.name, data_type_name(tensor.type()),
                shape_text(tensor.shape()), data_type_name(input.type),
                input.has_shape ? shape_text(input.shape) : "of any shape");
  }
}

void Program::run_step(const Step& step, std::vector<Tensor>& slots, Workspace& workspace,
                       const RunOptions& options) const {
  arrange_layouts(step.kernel->layout_use(), step.inputs, slots, workspace);
  std::vector<Tensor> inputs(step.inputs.size());
  std::vector<Tensor> outputs(step.outputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (step.inputs[i] < 0) continue;
    Tensor& value = slots[static_cast<size_t>(step.inputs[i])];
    if (step.last_use[i]) {
      inputs[i] = std::move(value);
      value = Tensor();
    } else {
      inputs[i] = value;
    }
  }
  step.kernel->run_observed(inputs, outputs, workspace, {.listener = options.listener});
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (step.outputs[i] < 0) continue;
    const auto index = static_cast<size_t>(step.outputs[i]);
    slots[index] = std::move(outputs[i]);
    if (options.listener != nullptr && slots[index].defined()) {
      options.listener->on_value(slot_names_[index], slots[index]);
    }
  }
}

std::vector<Tensor> Program::run(const Feed& feed, Workspace& workspace, const RunOptions& options) const {
  check_feed(feed);
  std::vector<Tensor> inputs;
  for (const Input& input : inputs_) inputs.push_back(feed.at(input.name));
  return run_inputs(std::move(inputs), workspace, options);
}

std::vector<Tensor> Program::run_inputs(std::vector<Tensor> inputs, Workspace& workspace,
                                        const RunOptions& options) const {
  check_interruption();
  ensure(inputs.size() == inputs_.size(), "a program is given all its inputs");
  const size_t parts = parts_of(inputs, options);
  return parts > 1 ? run_parts(inputs, parts, workspace) : run_steps(std::move(inputs), workspace, options);
}

size_t Program::parts_of(const std::vector<Tensor>& inputs, const RunOptions& options) const {
  const bool whole = spare_ == nullptr || options.listener != nullptr || options.timer != nullptr;
  if (whole) return 1;
  return spare_->one_by_one() ? sample_count(inputs) : batch_parts(inputs, static_cast<size_t>(thread_count()));
}

std::vector<Tensor> Program::run_parts(const std::vector<Tensor>& inputs, size_t parts, Workspace& workspace) const {
  std::vector<std::vector<Tensor>> results(parts);
  const auto run_some = [&](size_t begin, size_t end) {
    auto own = spare_->take();
    for (size_t part = begin; part < end; ++part) {
      results[part] = run_steps(rows_of_part(inputs, part, parts), *own, {});
    }
    spare_->give_back(std::move(own));
  };
  const size_t threads = batch_parts(inputs, static_cast<size_t>(thread_count()));
  if (threads == 1) {
    run_some(0, parts);
  } else {
    parallel_for(static_cast<int64_t>(threads), 1, [&](int64_t begin, int64_t end) {
      const ThreadCountScope one(1);
      run_some(parts * static_cast<size_t>(begin) / threads, parts * static_cast<size_t>(end) / threads);
    });
  }
  return join_parts(results, workspace);
}

void Program::prepare(const std::vector<Tensor>& inputs) const {
  const auto batched = std::find_if(inputs.begin(), inputs.end(), [](const Tensor& input) { return input.rank() > 0; });
  for (const Step& step : steps_) {
    if (!step.shape || step.shape->empty()) continue;
    Shape shape = *step.shape;
    if (shape[0] < 0 && batched != inputs.end()) shape[0] = batched->shape()[0];
    const bool known = std::all_of(shape.begin(), shape.end(), [](int64_t size) { return size > 0; });
    if (known) step.kernel->prepare(shape);
  }
}

std::vector<Tensor> Program::run_steps(std::vector<Tensor> inputs, Workspace& workspace,
                                       const RunOptions& options) const {
  if (!prepared_->exchange(true)) prepare(inputs);
  std::vector<Tensor> slots = constants_;
  for (size_t i = 0; i < inputs.size(); ++i) {
    Tensor& value = slots[static_cast<size_t>(inputs_[i].slot)];
    value = std::move(inputs[i]);
    if (options.listener != nullptr && value.defined()) options.listener->on_value(inputs_[i].name, value);
  }
  for (const Step& step : steps_) {
    const Stopwatch stopwatch;
    const auto label = [&] { return fmt::format("node '{}' ({})", step.info.node, step.info.op_type); };
    try {
      reading_operands([&] { run_step(step, slots, workspace, options); });
    } catch (Error& error) {
      error.add_context(label());
      throw;
    } catch (const std::bad_alloc&) {  // of what a kernel has besides tensors
      throw Error(ErrorKind::kUnsupported, "{}: out of memory", label());
    } catch (const std::length_error&) {  // more elements than a vector can have
      throw Error(ErrorKind::kUnsupported, "{}: out of memory", label());
    }
    if (options.timer != nullptr) {
      options.timer->on_step(step.info, step.kernel->implementation(), stopwatch.seconds());
    }
  }
  std::vector<Tensor> results;
  for (const int slot : output_slots_)
    results.push_back(to_layout(slots[static_cast<size_t>(slot)], Layout::kPlain, workspace));
  return results;
}

}  // namespace narrow::exec
