#include "lib/recover/float_pass.h"

#include "lib/recover/ordered_samples.h"

namespace narrow::recover {
namespace {

constexpr int64_t kOutputElements = int64_t{1} << 24;  // of rows of outputs that are made ahead

}  // namespace

void FloatPass::start(int64_t samples) {
  samples_ = samples;
  solvable_.resize(at_.units.size());
}

std::vector<std::string> FloatPass::outputs_of(const Unit& unit) const {
  std::vector<std::string> outputs;
  for (const std::string& output : unit.last().output()) {
    if (at_.last_use.contains(output)) outputs.push_back(output);
  }
  return outputs;
}

FloatPass::Solvable FloatPass::take(size_t unit) {
  if (unit == end_) run_stretch();
  return std::move(solvable_[unit]);
}

UnitProgram::Values FloatPass::wanted(size_t begin, std::vector<size_t>& watchers) const {
  UnitProgram::Values values;
  for (size_t i = begin; i < end_; ++i) {
    for (const std::string& output : outputs_of(at_.units[i])) {
      if (at_.last_use.at(output) >= end_) values.outputs.push_back(output);
    }
    if (!solvable_[i].solver) continue;
    values.watched.push_back(at_.units[i].first().output(0));
    watchers.push_back(i);
  }
  return values;
}

void FloatPass::run_stretch() {
  const size_t begin = end_;
  int64_t elements = 0;
  Unit all;
  do {
    const Unit& unit = at_.units[end_];
    Solvable& own = solvable_[end_++];
    own.solver = at_.solver(unit);
    if (own.solver) {
      elements += own.solver->output_elements(samples_) * samples_;
      own.rows.resize(static_cast<size_t>(samples_));
    }
    all.nodes.insert(all.nodes.end(), unit.nodes.begin(), unit.nodes.end());
  } while (end_ < at_.units.size() && elements < kOutputElements);
  std::vector<size_t> watchers;
  const UnitProgram::Values values = wanted(begin, watchers);
  const UnitProgram program(at_.model, at_.index, all, values, {});
  for_each_in_order(
      samples_, static_cast<int>(at_.workspaces.size()),
      [&](int worker, int64_t sample) {
        const Watch watch = [&](size_t watched, const Tensor& y) {
          Solvable& own = solvable_[watchers[watched]];
          own.rows[static_cast<size_t>(sample)] = own.solver->read_outputs(sample, samples_, y);
        };
        std::vector<Tensor> made = program.run(at_.values.float_feed(sample, program.input_names()),
                                               at_.workspaces[static_cast<size_t>(worker)], watch);
        at_.values.keep_float(sample, values.outputs, std::move(made));
      },
      [](int, int64_t) {});
  drop_dead(begin);
}

void FloatPass::drop_dead(size_t begin) {
  for (size_t i = begin; i < end_; ++i) {
    for (const std::string& value : at_.units[i].reads(at_.index)) {
      if (at_.last_use.at(value) < end_) at_.values.drop_float(value);
    }
  }
}

}  // namespace narrow::recover
