// The calibration stage: needs of the rules, statistics of the data, ranges in a table; and the way back from a table.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/data_source.h"
#include "apps/stages.h"
#include "calib/calibration_table.h"
#include "calib/observe.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"

namespace narrow::apps {

/// Group representative -> what calibration must find out about it.
using Needs = std::map<std::string, plan::GroupNeed>;

struct CalibrationRun {
  const graph::Model& model;  // normalized
  const Needs& needs;
  const DataSource* data = nullptr;  // for calibrate(): not null
  std::vector<int64_t> samples;      // feeds to run
  std::string model_sha256;
  int workers = 1;
  calib::RunWatch* watch = nullptr;
  std::vector<std::string> watched = {};  // values that it wants to see
};

/// The feeds that calibrate: spread evenly over the data; the first ones where state goes from each to the next.
std::vector<int64_t> calibration_samples(const DataSource& data, int64_t count);

/// Runs the float model over the samples; statistics of a group's sources are merged under its representative.
calib::CalibrationTable calibrate(const CalibrationRun& run, Stages& stages);

/// How far the ranges that every other sample gives are from those of the rest: what more samples would still change.
struct RangeShift {
  double median = 0;  // of the values, as shares of their ranges
  double largest = 0;
  std::string value;  // with the largest
};

/// The same, and how far ranges move between the halves; absent for fewer than 8 samples.
calib::CalibrationTable calibrate(const CalibrationRun& run, Stages& stages, std::optional<RangeShift>& shift);

/// A note of it, for reports.
std::string shift_text(const RangeShift& shift, int64_t samples);

/// Throws Error(kUsage) if the table was made from another model, lacks a value or holds a range that another
/// calibrator chose than the rules want, or the same one for a scheme in which it would have chosen otherwise.
void check_table(const calib::CalibrationTable& table, const Needs& needs, const std::string& model_sha256);

calib::CalibrationTable read_table(const std::string& path);

/// The table as the plan wants it: values that were never finite, or never seen, have a Reason instead.
plan::Ranges ranges_of(const calib::CalibrationTable& table);

/// One line for each value whose calibration is suspect: NaN or infinity seen, always zero.
std::vector<std::string> calibration_warnings(const calib::CalibrationTable& table);

}  // namespace narrow::apps
