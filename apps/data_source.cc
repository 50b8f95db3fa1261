#include "apps/data_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "apps/model_source.h"
#include "calib/kept_feeds.h"
#include "calib/state_feeds.h"
#include "lib/base/error.h"
#include "lib/exec/float_program.h"

namespace narrow::apps {
namespace {

constexpr int64_t kKeptBytes = int64_t{96} << 20;  // 160 images of 224 x 224
constexpr int64_t kKeptStateBytes = int64_t{96} << 20;

}  // namespace

DataSource open_source(const std::string& path, const DataUse& use, Stages& stages) {
  std::vector<calib::InputSpec> inputs = model_inputs(use.model);
  for (calib::InputSpec& input : inputs) input.any_number = use.any_number;
  auto reader = stages.run("open data", [&] { return calib::open_data(path, inputs, use.config); });
  refuse_overwriting(use.outputs, fmt::format("a file of the data '{}'", path), reader->files());
  if (reader->size() == 0) throw Error(ErrorKind::kData, "'{}' holds no samples", path);
  std::string hash = stages.run("hash data", [&] { return hash_files(reader->files()); });
  reader = calib::keep_feeds(std::move(reader), kKeptBytes);
  std::vector<exec::StateLink> state = calib::state_links(use.model.graph(), use.config);
  if (!state.empty()) {
    const auto compile = [model = use.model] { return exec::compile_float(model); };
    reader = calib::with_states(std::move(reader), compile, state, kKeptStateBytes);
  }
  return {.path = path, .reader = std::move(reader), .sha256 = std::move(hash), .state = std::move(state)};
}

std::vector<int64_t> remaining_samples(int64_t size, const std::vector<int64_t>& used) {
  std::vector<bool> taken(static_cast<size_t>(size), false);
  for (const int64_t index : used) taken.at(static_cast<size_t>(index)) = true;
  const bool all = std::find(taken.begin(), taken.end(), false) == taken.end();
  std::vector<int64_t> remaining;
  for (int64_t i = 0; i < size; ++i) {
    if (all || !taken[static_cast<size_t>(i)]) remaining.push_back(i);
  }
  return remaining;
}

validate::Samples select_samples(const DataSource& source, const std::vector<int64_t>& indices,
                                 const std::string& labels_path) {
  validate::Samples samples;
  samples.count = static_cast<int64_t>(indices.size());
  samples.state = source.state;
  if (!labels_path.empty()) {
    const std::vector<int64_t> all = calib::read_labels(labels_path, *source.reader);
    if (source.reader->samples() != source.reader->size()) {
      throw Error(ErrorKind::kUnsupported, "labels need feeds of one sample; the model's batch is fixed at {}",
                  source.reader->samples() / source.reader->size());
    }
    samples.labels.emplace();
    for (const int64_t index : indices) samples.labels->push_back(all[static_cast<size_t>(index)]);
  }
  samples.read = [reader = source.reader.get(), indices](int64_t index) {
    return reader->read(indices[static_cast<size_t>(index)]);
  };
  samples.read_stateless = [reader = source.reader.get(), indices](int64_t index) {
    return reader->read_stateless(indices[static_cast<size_t>(index)]);
  };
  return samples;
}

}  // namespace narrow::apps
