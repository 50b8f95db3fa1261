#include "apps/calibration.h"

#include <fmt/format.h>

#include <numeric>
#include <set>

#include "calib/choose_ranges.h"
#include "calib/observe.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/exec/float_program.h"

namespace narrow::apps {
namespace {

struct WantedValues {
  std::set<std::string> all;
  std::set<std::string> with_histogram;
};

WantedValues wanted_values(const Needs& needs) {
  WantedValues wanted;
  for (const auto& [representative, need] : needs) {
    wanted.all.insert(need.sources.begin(), need.sources.end());
    if (quant::needs_histogram(need.calibrator.method)) {
      wanted.with_histogram.insert(need.sources.begin(), need.sources.end());
    }
  }
  return wanted;
}

/// The program lives only as long as this call: its weights are gone before the next stage.
calib::Observations observe(const CalibrationRun& run, Stages& stages) {
  const WantedValues wanted = wanted_values(run.needs);
  calib::ObserveOptions options;
  options.values.assign(wanted.all.begin(), wanted.all.end());
  options.with_histogram.assign(wanted.with_histogram.begin(), wanted.with_histogram.end());
  options.samples = run.samples;
  options.state = run.data->state;
  options.workers = run.workers;
  options.progress = stages.progress();
  const exec::Program program =
      stages.run("compile", [&] { return exec::compile_float(run.model, {.observed = options.values}); });
  return stages.run("observe", [&] { return calib::observe(program, *run.data->reader, options); });
}

calib::Observations merge_groups(const calib::Observations& seen, const Needs& needs) {
  calib::Observations merged;
  merged.samples = seen.samples;
  for (const auto& [representative, need] : needs) {
    for (size_t i = 0; i < need.sources.size(); ++i) {
      const auto found = seen.values.find(need.sources[i]);
      ensure(found != seen.values.end(), "each source was observed");
      if (i == 0) {
        merged.values[representative] = found->second;
      } else {
        merged.values[representative].merge(found->second);
      }
    }
  }
  return merged;
}

}  // namespace

std::vector<int64_t> calibration_samples(const DataSource& data, int64_t count) {
  const int64_t size = data.reader->size();
  if (data.state.empty()) return calib::spread_samples(size, count);
  std::vector<int64_t> first(static_cast<size_t>(std::min(size, count)));
  std::iota(first.begin(), first.end(), 0);
  return first;
}

calib::CalibrationTable calibrate(const CalibrationRun& run, Stages& stages) {
  const calib::Observations merged = merge_groups(observe(run, stages), run.needs);
  std::map<std::string, calib::CalibratorChoice> choices;
  for (const auto& [representative, need] : run.needs) {
    choices[representative] = {.calibrator = need.calibrator, .scheme = need.scheme};
  }
  calib::CalibrationTable table;
  table.model_sha256 = run.model_sha256;
  table.data = fmt::format("{} of {} samples of {}, sha256 {}", run.samples.size(), run.data->reader->size(),
                           std::filesystem::path(run.data->path).filename().string(), run.data->sha256);
  table.samples = merged.samples;
  table.values = stages.run("choose ranges", [&] { return calib::choose_ranges(merged, choices); });
  return table;
}

void check_table(const calib::CalibrationTable& table, const Needs& needs, const std::string& model_sha256) {
  if (table.model_sha256 != model_sha256) {
    throw Error(ErrorKind::kUsage, "it was made from another model (sha256 {}..., this one has {}...)",
                table.model_sha256.substr(0, 12), model_sha256.substr(0, 12));
  }
  for (const auto& [representative, need] : needs) {
    if (need.sources.empty()) continue;
    const auto found = table.values.find(representative);
    if (found == table.values.end()) {
      throw Error(ErrorKind::kUsage, "no range for value '{}'; calibrate again with this config", representative);
    }
    const std::string has = calib::choice_text(found->second.calibrator, found->second.scheme);
    const std::string wanted = calib::choice_text(need.calibrator, need.scheme);
    if (has == wanted) continue;
    throw Error(ErrorKind::kUsage,
                "value '{}' was calibrated by {}, the rules want {}; calibrate again with this config{}",
                representative, has, wanted, found->second.calibrator == need.calibrator ? "" : " or give --method");
  }
}

calib::CalibrationTable read_table(const std::string& path) {
  return read_json_as(path, calib::calibration_table_from_json);
}

plan::Ranges ranges_of(const calib::CalibrationTable& table) {
  plan::Ranges ranges;
  for (const auto& [name, value] : table.values) {
    plan::ValueRange range{
        .range = value.range, .calibrator = quant::calibrator_text(value.calibrator), .unusable = {}};
    if (value.count == 0 && value.not_finite > 0) {
      range.unusable = Reason{ReasonCode::kDegenerateRange, fmt::format("'{}' was only NaN or infinite", name)};
    } else if (value.count == 0) {
      range.unusable = Reason{ReasonCode::kNoRange, fmt::format("'{}'", name)};
    }
    ranges.emplace(name, std::move(range));
  }
  return ranges;
}

std::vector<std::string> calibration_warnings(const calib::CalibrationTable& table) {
  std::vector<std::string> warnings;
  for (const auto& [name, value] : table.values) {
    if (value.not_finite > 0) {
      warnings.push_back(fmt::format("value '{}': {} of {} elements were NaN or infinite and were left out", name,
                                     value.not_finite, value.count + value.not_finite));
    } else if (value.count > 0 && value.min == 0 && value.max == 0) {
      warnings.push_back(fmt::format("value '{}' was zero in every sample: its scale is 1", name));
    }
  }
  return warnings;
}

}  // namespace narrow::apps
