#include "apps/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "apps/calibration.h"
#include "apps/input_check.h"
#include "apps/input_outliers.h"
#include "apps/model_source.h"
#include "apps/plan_notes.h"
#include "apps/recovery.h"
#include "apps/versions.h"
#include "apps/written_files.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/io/load.h"
#include "lib/recover/absorb.h"
#include "lib/recover/align.h"
#include "lib/recover/smooth.h"
#include "lib/report/format.h"
#include "lib/rewrite/form.h"
#include "lib/rewrite/integer_io.h"
#include "lib/rewrite/qdq.h"

namespace narrow::apps {
namespace {

/// The plan and where it came from.
struct Planned {
  plan::PrecisionPlan plan;
  plan::Ranges ranges;  // that it was made from
  report::CalibrationFacts calibration;
  std::vector<int64_t> used_samples;  // of the data, by calibration
  std::unique_ptr<FloatRuns> seen;    // of these
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
};

constexpr double kRangesMoveMuch = 0.25;  // median over the values, between the halves of the samples

/// Against the model behind the recovery steps that add nodes or inputs.
void check_against(const plan::PrecisionPlan& plan, const graph::Model& model) {
  if (!plan.recovery) return plan::check_plan(plan, model);
  graph::Model behind = model;
  for (const plan::RecoveryStep& step : plan.recovery->steps) {
    if (step.method == plan::RecoveryMethod::kSmooth) behind = recover::smooth_nodes(behind, step.values);
    if (step.method == plan::RecoveryMethod::kAlign) behind = recover::align(behind, step.inputs);
    if (step.method == plan::RecoveryMethod::kAbsorb) behind = recover::absorb_nodes(behind);
  }
  plan::check_plan(plan, behind);
}

Planned plan_from_file(const PipelineOptions& options, const graph::Model& model, const std::string& model_sha256,
                       Stages& stages) {
  return stages.run("read plan", [&] {
    return read_json_as(options.plan, [&](const Json& json) {
      Planned planned{
          .plan = plan::plan_from_json(json), .calibration = {}, .used_samples = {}, .warnings = {}, .notes = {}};
      if (planned.plan.model_sha256 != model_sha256) {
        throw Error(ErrorKind::kUsage, "it was made for another model (sha256 {}..., this one has {}...)",
                    planned.plan.model_sha256.substr(0, 12), model_sha256.substr(0, 12));
      }
      check_against(planned.plan, model);
      planned.calibration.source = "plan " + options.plan;
      return planned;
    });
  });
}

/// Ranges from a table, from a run over the data, or none where none is needed; notes in `planned` where they are from.
calib::CalibrationTable find_ranges(const PipelineOptions& options, const CalibrationRun& run, Stages& stages,
                                    Planned& planned) {
  const auto observed =
      std::find_if(run.needs.begin(), run.needs.end(), [](const auto& need) { return !need.second.sources.empty(); });
  if (!options.calibration.empty()) {
    calib::CalibrationTable table = read_table(options.calibration);
    in_context(options.calibration, [&] { check_table(table, run.needs, run.model_sha256); });
    planned.calibration.source = "calibration table " + options.calibration;
    return table;
  }
  if (observed == run.needs.end()) {
    planned.calibration.source = "nothing: no range depends on data";
    return {};
  }
  if (run.data == nullptr) {
    throw Error(ErrorKind::kUsage, "quantize: option --data is missing: '{}' needs a range", observed->first);
  }
  planned.used_samples = run.samples;
  const Stopwatch watch;
  std::optional<RangeShift> shift;
  calib::CalibrationTable table = calibrate(run, stages, shift);
  if (shift && shift->median > kRangesMoveMuch) {
    planned.warnings.push_back("calibration: " + shift_text(*shift, table.samples) + ": give more samples");
  } else if (shift) {
    planned.notes.push_back(shift_text(*shift, table.samples));
  }
  planned.calibration = {
      .data = run.data->facts(table.samples), .source = "data", .samples = 0, .seconds = watch.seconds()};
  return table;
}

Planned plan_as_decided(const DecidedPlan& decided, const graph::Model& model) {
  check_against(decided.plan, model);
  Planned planned{.plan = decided.plan,
                  .ranges = {},
                  .calibration = {},
                  .used_samples = decided.calibration,
                  .seen = {},
                  .warnings = {},
                  .notes = {}};
  planned.calibration.source = "data";
  planned.calibration.samples = static_cast<int64_t>(decided.calibration.size());
  return planned;
}

Planned plan_from_ranges(const PipelineOptions& options, const graph::Model& model, const std::string& model_sha256,
                         const DataSource* data, Stages& stages) {
  const analyze::Analysis analysis = stages.run("analyze", [&] { return analyze::analyze(model); });
  const Needs needs = plan::calibration_needs(model, analysis, options.config.rules);
  CalibrationRun run{model, needs, data, {}, model_sha256, options.workers};
  Planned planned;
  if (data != nullptr) {
    run.samples = calibration_samples(*data, options.config.samples);
    planned.seen = watch_for_recovery(model, options.config.recovery, run.samples);
    run.watch = planned.seen.get();
    if (planned.seen) run.watched = planned.seen->values();
  }
  const calib::CalibrationTable table = find_ranges(options, run, stages, planned);
  planned.calibration.samples = table.samples;
  for (std::string& warning : calibration_warnings(table)) planned.warnings.push_back(std::move(warning));
  if (!options.calibration_out.empty()) write_file(options.calibration_out, json_text(calib::to_json(table)));
  planned.ranges = ranges_of(table);
  planned.plan =
      stages.run("plan", [&] { return plan::make_plan(model, analysis, planned.ranges, options.config.rules); });
  planned.plan.model_sha256 = model_sha256;
  return planned;
}

void evaluate(const PipelineOptions& options, const ModelSource& source, const DataSource& data,
              const std::vector<int64_t>& used, report::Report& report, Stages& stages) {
  const std::vector<int64_t> samples = remaining_samples(data.reader->size(), used);
  if (!used.empty() && static_cast<int64_t>(used.size()) == data.reader->size()) {
    report.notes.push_back("evaluated on the calibration samples themselves: the data holds no others (see --eval)");
  } else if (!used.empty()) {
    report.notes.push_back(fmt::format("evaluated on the {} samples that calibration left", samples.size()));
  }
  const graph::Model written =
      stages.run("read back", [&] { return rewrite::with_float_io(io::load_model(options.output)); });
  report.evaluation = data.facts(static_cast<int64_t>(samples.size()));
  report.validation =
      run_validation({source.loaded, written, data, samples, options.labels, options.workers, options.speed}, stages);
}

bool rescales_activations(const plan::PrecisionPlan& plan) {
  const auto rescales = [](const plan::RecoveryStep& step) {
    return step.method == plan::RecoveryMethod::kEqualize || step.method == plan::RecoveryMethod::kAbsorb ||
           step.method == plan::RecoveryMethod::kSmooth;
  };
  return plan.recovery && std::any_of(plan.recovery->steps.begin(), plan.recovery->steps.end(), rescales);
}

report::ModelFacts written_facts(const std::string& path, const graph::Model& model,
                                 const std::vector<std::filesystem::path>& files) {
  report::ModelFacts facts;
  facts.path = path;
  facts.weight_bytes = weight_bytes(model);
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed)) return facts;
  facts.sha256 = hash_files(files);
  facts.file_bytes = total_bytes(files);
  return facts;
}

Json effective_options(const PipelineOptions& options) {
  Json json = to_json(options.config);
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  add("data", options.data);
  add("eval", options.evaluation);
  add("labels", options.labels);
  add("calibration_table", options.calibration);
  add("plan", options.plan);
  json["threads"] = options.workers;
  return json;
}

/// Changes planned.used_samples to what recovery uses where calibration used none.
RecoveryOutcome recovered_model(const PipelineOptions& options, const graph::Model& model, Planned& planned,
                                const DataSource* data, Stages& stages) {
  const auto& record = planned.plan.recovery;
  const bool from_plan = !options.plan.empty() || options.decided.has_value();
  if (record && data == nullptr) {
    throw Error(ErrorKind::kUsage, "{}: its recovery steps ({}) need the calibration data: give --data{}", options.plan,
                plan::recovery_text(record->steps), without_recovery(*record));
  }
  if (data == nullptr || (from_plan && !record)) {
    RecoveryOutcome none{.model = model, .applied = planned.plan, .written = planned.plan, .facts = {}, .warnings = {}};
    const RecoveryConfig& wanted = options.config.recovery;
    if (!from_plan && !wanted.automatic && !wanted.steps.empty()) {
      none.warnings.push_back(
          fmt::format("recovery: '{}' is not run: it takes data (--data)", plan::recovery_text(wanted.steps)));
    }
    return none;
  }
  const bool own_ranges = !planned.used_samples.empty();
  if (!own_ranges) {
    planned.used_samples = calibration_samples(*data, record ? record->samples : options.config.samples);
  }
  const RecoveryRun run{.model = model,
                        .plan = planned.plan,
                        .config = options.config,
                        .data = *data,
                        .samples = planned.used_samples,
                        .ranges = planned.ranges,
                        .seen = own_ranges ? planned.seen.get() : nullptr,
                        .own_ranges = own_ranges,
                        .held = record ? record->held : plan::kHeldFirst,
                        .workers = options.workers};
  if (record && !options.plan.empty()) return in_context(options.plan, [&] { return repeat_recovery(run, stages); });
  if (record) return repeat_recovery(run, stages);
  return recover(run, stages);
}

}  // namespace

graph::Model quantized_model(const graph::Model& model, const plan::PrecisionPlan& plan) {
  graph::Model result = rewrite::rewrite_to_qdq(model, plan);
  io::infer_shapes(result);
  return result;
}

namespace {

/// "format qoperator, 3 nodes left behind DequantizeLinear: 2 MatMul: its result is float32, ...; 1 Tanh: ..."
std::string kept_text(const std::vector<rewrite::KeptNode>& kept) {
  std::map<std::string, int64_t> reasons;
  for (const rewrite::KeptNode& node : kept) ++reasons[fmt::format("{}: {}", node.op_type, node.why)];
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.push_back(fmt::format("{} {}", count, reason));
  return fmt::format("format qoperator, {} left behind DequantizeLinear: {}",
                     report::plural(static_cast<int64_t>(kept.size()), "node"), fmt::join(parts, "; "));
}

Planned make_planned(const PipelineOptions& options, const ModelSource& source, const graph::Model& model,
                     const DataSource* data, Stages& stages) {
  Planned planned = options.decided        ? plan_as_decided(*options.decided, model)
                    : options.plan.empty() ? plan_from_ranges(options, model, source.facts.sha256, data, stages)
                                           : plan_from_file(options, model, source.facts.sha256, stages);
  if (data == nullptr || planned.used_samples.empty()) return planned;
  const InputCheck check{.loaded = source.loaded, .normalized = model, .data = *data, .samples = planned.used_samples};
  const auto warnings = stages.run("check inputs", [&] {
    std::vector<std::string> found = input_warnings(check);
    // Where samples hand on a state each is a run of the model.
    if (!data->state.empty()) return found;
    for (std::string& warning : outlier_warnings(*data->reader, check.samples, options.workers)) {
      found.push_back(std::move(warning));
    }
    return found;
  });
  for (const std::string& warning : warnings) {
    spdlog::warn("{}", warning);
    planned.warnings.push_back(warning);
  }
  return planned;
}

}  // namespace

WrittenModel written_model(const graph::Model& model, const plan::PrecisionPlan& plan) {
  rewrite::QoperatorModel formed = rewrite::in_form(rewrite::rewrite_to_qdq(model, plan), plan);
  WrittenModel written{std::move(formed.model), {}};
  if (!formed.kept.empty()) written.notes.push_back(kept_text(formed.kept));
  io::infer_shapes(written.model);
  return written;
}

void refuse_quantized(const graph::Model& model) {
  const std::optional<std::string> op_type = quantized_operator(model);
  if (!op_type) return;
  throw Error(ErrorKind::kUnsupported, "the model is quantized already (it has {}); give the float model",
              report::plural(count_nodes(model, *op_type), *op_type + " node"));
}

validate::Validation run_validation(ValidateRun run, Stages& stages) {
  const validate::Samples samples = select_samples(run.data, run.samples, run.labels);
  validate::ValidateOptions options;
  options.workers = run.workers;
  options.progress = stages.progress();
  options.check_samples = run.check_samples;
  if (!run.speed) options.speed_turns = 0;
  return stages.run("validate", [&] { return validate::validate(run.float_model, run.quantized, samples, options); });
}

report::Report run_pipeline(const PipelineOptions& options, Stages& stages) {
  const ModelSource source = open_model(options.model, options.outputs, stages);
  refuse_quantized(source.loaded);
  const auto open = [&](const std::string& path) {
    return open_source(path, {source.loaded, options.config.inputs, options.outputs}, stages);
  };
  const std::optional<DataSource> data = options.data.empty() ? std::nullopt : std::optional(open(options.data));
  const std::optional<DataSource> other =
      options.evaluation.empty() ? std::nullopt : std::optional(open(options.evaluation));
  const DataSource* evaluation = other ? &*other : data ? &*data : nullptr;
  // Labels that do not fit should not wait for the end of a long calibration.
  if (evaluation != nullptr) select_samples(*evaluation, {}, options.labels);

  std::vector<plan::PreparedNodes> prepared;
  const graph::Model model = normalize(source.loaded, stages, &prepared);
  Planned planned = make_planned(options, source, model, data ? &*data : nullptr, stages);
  planned.plan.prepared = std::move(prepared);
  RecoveryOutcome recovered = recovered_model(options, model, planned, data ? &*data : nullptr, stages);
  if (!options.plan_out.empty()) write_file(options.plan_out, json_text(plan::to_json(recovered.written)));

  WrittenModel written = stages.run("rewrite", [&] { return written_model(recovered.model, recovered.applied); });
  graph::Model& quantized = written.model;
  WrittenFiles written_files(stages.run("save", [&] { return io::save_model(quantized, options.output); }));

  report::Report report;
  report.command = "quantize";
  report.versions = versions();
  report.float_model = source.facts;
  report.quantized_model = written_facts(options.output, quantized, written_files.files());
  report.options = effective_options(options);
  report.recipe = options.plan.empty() ? recipe_text(options.config.rules) : "by plan " + options.plan;
  if (planned.calibration.samples > 0 && options.plan.empty()) {
    report.recipe += fmt::format(" over {} samples", planned.calibration.samples);
  }
  report.warnings = std::move(planned.warnings);
  report.warnings.insert(report.warnings.end(), recovered.warnings.begin(), recovered.warnings.end());
  report.notes = std::move(planned.notes);
  if (const auto note = raised_opset_note(source)) report.notes.push_back(*note);
  report.recovery = std::move(recovered.facts);
  if (auto nothing = nothing_quantized(recovered.written)) {
    spdlog::warn("{}", *nothing);
    report.warnings.insert(report.warnings.begin(), std::move(*nothing));
  }
  if (evaluation != nullptr) {
    std::vector<int64_t> used = planned.used_samples;
    if (options.decided) used.insert(used.end(), options.decided->judges.begin(), options.decided->judges.end());
    evaluate(options, source, *evaluation, other ? std::vector<int64_t>{} : used, report, stages);
  } else {
    report.notes.push_back("not validated: neither --data nor --eval was given");
  }
  if (rescales_activations(recovered.written)) {
    report.notes.push_back(
        "recovery gives inner channels other scales or offsets: activations differ from the float model's by these, "
        "outputs do not");
  }
  for (const std::string& note : written.notes) report.notes.push_back(note);
  for (std::string& note : adaptation_notes(recovered.written)) report.notes.push_back(std::move(note));
  for (std::string& note : integer_io_notes(recovered.written)) report.notes.push_back(std::move(note));
  report.calibration = std::move(planned.calibration);
  report.plan = std::move(recovered.written);
  report.stages = stages.times();
  written_files.keep();
  return report;
}

}  // namespace narrow::apps
