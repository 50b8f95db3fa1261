#include <fmt/format.h>

#include <memory>

#include "apps/bench.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/config.h"
#include "apps/data_source.h"
#include "apps/join.h"
#include "apps/model_source.h"
#include "apps/output.h"
#include "apps/random_feed.h"
#include "apps/versions.h"
#include "lib/base/error.h"
#include "lib/base/progress.h"
#include "lib/io/load.h"

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
  std::unique_ptr<Runner> runner;
  std::vector<exec::Feed> feeds;
  double load_seconds = 0;
};

/// Feeds of one sample each joined on axis 0.
exec::Feed join(const std::vector<exec::Feed>& parts) {
  exec::Feed feed;
  for (const auto& [name, first] : parts.front()) {
    if (first.shape().empty()) throw Error(ErrorKind::kUsage, "input '{}' is a scalar: --batch does not fit", name);
    std::vector<Tensor> tensors;
    for (const exec::Feed& part : parts) tensors.push_back(part.at(name));
    feed[name] = in_context("--batch does not fit", [&] { return joined(tensors, fmt::format("input '{}'", name)); });
  }
  return feed;
}

std::vector<exec::Feed> feeds_of(const DataSource& data, int64_t batch) {
  const int64_t size = data.reader->size();
  std::vector<exec::Feed> feeds;
  for (int64_t begin = 0; begin + batch <= size && begin / batch < static_cast<int64_t>(kBenchTurns); begin += batch) {
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
  graph::Model model = stages.run("load", [&] { return io::load_model(path); });
  feed_defaults(model, options.data);
  candidate.runner = std::make_unique<Runner>(make_runner(model, runtime_from_name(options.runtime)));
  candidate.load_seconds = watch.seconds();
  candidate.feeds = options.data.empty()
                        ? std::vector<exec::Feed>{random_feed(model_inputs(model), options.bench.batch)}
                        : feeds_of(open_source(options.data, {model, config.inputs, {}}, stages), options.bench.batch);
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
