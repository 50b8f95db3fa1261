#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "apps/bench.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/config.h"
#include "apps/data_source.h"
#include "apps/model_source.h"
#include "apps/output.h"
#include "apps/versions.h"
#include "lib/base/error.h"
#include "lib/base/progress.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "bench",
    .summary = "measure speed and latency of models, in turn in one process",
    .examples = {"bench model.onnx model.int8.onnx", "bench model.int8.onnx --batch 8 --threads 2 --profile",
                 "bench model.onnx --data images/ --config narrow.json --format json"},
    .usage = "bench MODEL... [options]"};

struct Options {
  std::vector<std::string> models;
  std::string data;
  std::string runtime = "auto";
  BenchOptions bench;
  ConfigFlags flags;
  CommonOptions common;
};

struct Candidate {
  std::vector<calib::InputSpec> inputs;
  std::unique_ptr<Runner> runner;
  std::vector<exec::Feed> feeds;
  double load_seconds = 0;
};

/// Deterministic and spread over [0, 1): xorshift64 (Marsaglia 2003).
class Noise {
 public:
  float next() {
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 7U;
    state_ ^= state_ << 17U;
    return static_cast<float>(state_ >> 40U) / 16777216.0F;
  }

 private:
  uint64_t state_ = 88172645463325252ULL;
};

Tensor random_input(const calib::InputSpec& spec, int64_t batch, Noise& noise) {
  if (!spec.shape) {
    throw Error(ErrorKind::kUsage, "input '{}' has no known rank: give --data", spec.name);
  }
  Shape shape = *spec.shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] >= 0) continue;
    if (axis > 0) {
      throw Error(ErrorKind::kUsage, "input '{}' has shape {}: only the first axis may be free; give --data", spec.name,
                  shape_text(*spec.shape));
    }
    shape[axis] = batch;
  }
  if (batch > 1 && (shape.empty() || shape[0] != batch)) {
    throw Error(ErrorKind::kUsage, "input '{}' has shape {}: --batch {} does not fit", spec.name,
                shape_text(*spec.shape), batch);
  }
  Tensor tensor(spec.type, shape);
  if (spec.type == DataType::kFloat32) {
    for (float& value : tensor.mutable_data<float>()) value = noise.next();
  } else {
    std::memset(tensor.mutable_bytes(), 0, tensor.byte_size());
  }
  return tensor;
}

std::vector<exec::Feed> random_feeds(const std::vector<calib::InputSpec>& inputs, int64_t batch) {
  Noise noise;
  exec::Feed feed;
  for (const calib::InputSpec& spec : inputs) feed[spec.name] = random_input(spec, batch, noise);
  return {std::move(feed)};
}

/// Feeds of one sample each joined on axis 0.
exec::Feed join(const std::vector<exec::Feed>& parts) {
  exec::Feed feed;
  for (const auto& [name, first] : parts.front()) {
    Shape shape = first.shape();
    if (shape.empty()) throw Error(ErrorKind::kUsage, "input '{}' is a scalar: --batch does not fit", name);
    shape[0] = 0;
    for (const exec::Feed& part : parts) shape[0] += part.at(name).shape().at(0);
    Tensor all(first.type(), shape);
    std::byte* target = all.mutable_bytes();
    for (const exec::Feed& part : parts) {
      const Tensor& tensor = part.at(name);
      if (tensor.byte_size() != first.byte_size()) {
        throw Error(ErrorKind::kUsage, "input '{}': samples differ in shape, --batch does not fit", name);
      }
      std::memcpy(target, tensor.bytes(), tensor.byte_size());
      target += tensor.byte_size();
    }
    feed[name] = std::move(all);
  }
  return feed;
}

std::vector<exec::Feed> feeds_of(const DataSource& data, int64_t batch) {
  constexpr int64_t kMaxFeeds = 16;
  const int64_t size = data.reader->size();
  std::vector<exec::Feed> feeds;
  for (int64_t begin = 0; begin + batch <= size && begin / batch < kMaxFeeds; begin += batch) {
    std::vector<exec::Feed> parts;
    for (int64_t i = begin; i < begin + batch; ++i) parts.push_back(data.reader->read(i));
    feeds.push_back(batch == 1 ? std::move(parts.front()) : join(parts));
  }
  if (feeds.empty()) throw Error(ErrorKind::kUsage, "--batch {}: '{}' holds only {} samples", batch, data.path, size);
  return feeds;
}

Candidate make_candidate(const std::string& path, const Options& options, const Config& config, Stages& stages) {
  Candidate candidate;
  const Stopwatch watch;
  const ModelSource source = open_model(path, {}, stages);
  candidate.inputs = model_inputs(source.loaded);
  candidate.runner = std::make_unique<Runner>(make_runner(source.loaded, runtime_from_name(options.runtime)));
  candidate.load_seconds = watch.seconds();
  candidate.feeds =
      options.data.empty()
          ? random_feeds(candidate.inputs, options.bench.batch)
          : feeds_of(open_source(options.data, {candidate.inputs, config.inputs, {}}, stages), options.bench.batch);
  return candidate;
}

}  // namespace

int run_bench(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positionals("MODEL", options.models, "models, float or quantized");
  line.option("--batch", options.bench.batch, {"N", "samples of one run (1)"});
  line.option("--seconds", options.bench.seconds, {"S", "time to measure each model (2)"});
  add_runtime_option(line, options.runtime);
  line.flag("--profile", options.bench.profile, {"", "also show the costliest steps"});
  line.option("--data", options.data, {"DATA", "samples to run on (random numbers)"});
  add_config_option(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  apply_common_options(options.common);
  if (options.bench.batch < 1) throw Error(ErrorKind::kUsage, "--batch: must be at least 1");
  if (!(options.bench.seconds > 0)) throw Error(ErrorKind::kUsage, "--seconds: must be above 0");
  options.bench.threads = options.common.threads;
  const Config config = read_config(options.flags);
  Stages stages(progress_style(options.common));
  std::vector<Candidate> candidates;
  for (const std::string& path : options.models) candidates.push_back(make_candidate(path, options, config, stages));
  std::vector<BenchSubject> subjects;
  for (size_t i = 0; i < candidates.size(); ++i) {
    subjects.push_back(
        {options.models[i], candidates[i].runner.get(), std::move(candidates[i].feeds), candidates[i].load_seconds});
  }
  const std::vector<BenchResult> results = bench(subjects, options.bench);
  const report::Versions used = versions();
  print_result(options.common.json() ? json_text(to_json(results, options.bench, used))
                                     : report::render_text(to_document(results, options.bench, used)));
  return 0;
}

}  // namespace narrow::apps
