#include "apps/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "calib/choose_ranges.h"
#include "calib/observe.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/median.h"
#include "lib/exec/float_program.h"

namespace narrow::apps {
namespace {

constexpr size_t kLeastToHalve = 8;

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
/// One entry for each set of samples.
std::vector<calib::Observations> observe(const CalibrationRun& run, const std::vector<std::vector<int64_t>>& sets,
                                         Stages& stages) {
  const WantedValues wanted = wanted_values(run.needs);
  calib::ObserveOptions options;
  options.values.assign(wanted.all.begin(), wanted.all.end());
  options.with_histogram.assign(wanted.with_histogram.begin(), wanted.with_histogram.end());
  options.workers = run.workers;
  options.progress = stages.progress();
  options.watch = run.watch;
  std::set<std::string> told = wanted.all;
  told.insert(run.watched.begin(), run.watched.end());
  const exec::Program program = stages.run("compile", [&] {
    return exec::compile_float(run.model, {.observed = {told.begin(), told.end()}});
  });
  return stages.run("observe", [&] {
    std::vector<calib::Observations> seen;
    for (const std::vector<int64_t>& samples : sets) {
      options.samples = samples;
      seen.push_back(calib::observe(program, *run.data->reader, options));
    }
    return seen;
  });
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

namespace {

using Choices = std::map<std::string, calib::CalibratorChoice>;

Choices choices_of(const Needs& needs) {
  Choices choices;
  for (const auto& [representative, need] : needs) {
    choices[representative] = {.calibrator = need.calibrator, .scheme = need.scheme};
  }
  return choices;
}

std::optional<RangeShift> shift_between(const std::vector<calib::Observations>& halves, const Choices& choices) {
  const auto one = calib::choose_ranges(halves[0], choices);
  const auto other = calib::choose_ranges(halves[1], choices);
  RangeShift shift;
  std::vector<double> shares;
  for (const auto& [name, a] : one) {
    const quant::Range& first = a.range;
    const quant::Range& second = other.at(name).range;
    const double width =
        std::max(static_cast<double>(first.rmax) - first.rmin, static_cast<double>(second.rmax) - second.rmin);
    if (!(width > 0)) continue;
    const double moved = std::abs(static_cast<double>(first.rmax) - second.rmax) +
                         std::abs(static_cast<double>(first.rmin) - second.rmin);
    shares.push_back(moved / width);
    if (shares.back() <= shift.largest) continue;
    shift.largest = shares.back();
    shift.value = name;
  }
  if (shares.empty()) return std::nullopt;
  shift.median = upper_median(std::move(shares));
  return shift;
}

calib::CalibrationTable table_of(const CalibrationRun& run, const calib::Observations& merged, const Choices& choices,
                                 Stages& stages) {
  calib::CalibrationTable table;
  table.model_sha256 = run.model_sha256;
  table.data = fmt::format("{} of {} samples of {}, sha256 {}", run.samples.size(), run.data->reader->size(),
                           std::filesystem::path(run.data->path).filename().string(), run.data->sha256);
  table.samples = merged.samples;
  table.values = stages.run("choose ranges", [&] { return calib::choose_ranges(merged, choices); });
  return table;
}

}  // namespace

calib::CalibrationTable calibrate(const CalibrationRun& run, Stages& stages) {
  const calib::Observations merged = merge_groups(observe(run, {run.samples}, stages).front(), run.needs);
  return table_of(run, merged, choices_of(run.needs), stages);
}

calib::CalibrationTable calibrate(const CalibrationRun& run, Stages& stages, std::optional<RangeShift>& shift) {
  if (run.samples.size() < kLeastToHalve) return calibrate(run, stages);
  std::vector<std::vector<int64_t>> sets(2);
  for (size_t i = 0; i < run.samples.size(); ++i) sets[i % 2].push_back(run.samples[i]);
  std::vector<calib::Observations> halves;
  for (const calib::Observations& seen : observe(run, sets, stages)) halves.push_back(merge_groups(seen, run.needs));
  const Choices choices = choices_of(run.needs);
  shift = stages.run("halves", [&] { return shift_between(halves, choices); });
  // Merging is exact: the same statistics as of all samples at once.
  for (auto& [name, seen] : halves[0].values) seen.merge(halves[1].values.at(name));
  halves[0].samples += halves[1].samples;
  return table_of(run, halves[0], choices, stages);
}

std::string shift_text(const RangeShift& shift, int64_t samples) {
  return fmt::format(
      "ranges of the one and the other half of the {} calibration samples differ by {:.0f} % in the median, by "
      "{:.0f} % at most ('{}')",
      samples, 100 * shift.median, 100 * shift.largest, shift.value);
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
