// Data as the user gave it: what of it calibrates, what of it evaluates.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/paths.h"
#include "apps/stages.h"
#include "calib/data_reader.h"
#include "lib/report/report.h"
#include "lib/validate/validate.h"

namespace narrow::apps {

struct DataSource {
  std::string path;
  std::unique_ptr<calib::DataReader> reader;  // feeds are complete: states are those of the model it was opened for
  std::string sha256;
  std::vector<exec::StateLink> state = {};  // inputs that the model's outputs feed, as the config says

  report::DataFacts facts(int64_t samples) const { return {.path = path, .sha256 = sha256, .samples = samples}; }
};

/// What a command's data must fit, and what it must not be.
struct DataUse {
  const graph::Model& model;  // whose inputs they are, and whose outputs feed some of them
  const calib::InputConfig& config;
  const std::vector<NamedPath>& outputs;  // what the command writes
  bool any_number = false;                // NaN and infinity too: nothing is learned from the data
};

/// Opens and hashes: the SHA-256 of a single file; of several, that of the lines that sha256sum prints for them. Throws
/// Error(kUsage) if an output would overwrite one of the files.
DataSource open_source(const std::string& path, const DataUse& use, Stages& stages);

/// Indices of [0, size) that are not in `used`; all of them if nothing remains.
std::vector<int64_t> remaining_samples(int64_t size, const std::vector<int64_t>& used);

/// The chosen feeds of a source, with their labels. The source must outlive it. Throws Error(kUsage) or Error(kData)
/// for labels that do not fit.
validate::Samples select_samples(const DataSource& source, const std::vector<int64_t>& indices,
                                 const std::string& labels_path);

}  // namespace narrow::apps
