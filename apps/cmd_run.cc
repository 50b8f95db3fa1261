#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/config.h"
#include "apps/data_source.h"
#include "apps/model_source.h"
#include "apps/npz.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/runner.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/parallel.h"
#include "lib/report/format.h"

namespace narrow::apps {
namespace {

namespace fs = std::filesystem;

const CommandHelp kHelp{.name = "run",
                        .summary = "run a model over data, write one array per output, feeds joined on axis 0",
                        .examples = {"run model.onnx --data eval.npy -o float.npz",
                                     "run model.int8.onnx --data eval.npy -o int8.npz --runtime integer",
                                     "run model.onnx --data texts/ -o outputs/     (a folder: one .npz per feed)"},
                        .usage = "run MODEL --data DATA -o OUT.npz|FOLDER [options]"};

struct Options {
  std::string model;
  std::string data;
  std::string output;
  std::string runtime = "auto";
  ConfigFlags flags;
  CommonOptions common;
};

using Results = std::vector<std::vector<Tensor>>;  // by feed, then by output

bool writes_npz(const std::string& output) {
  return fs::path(output).extension() == ".npz";
}

std::string feed_file(size_t feed) {
  return fmt::format("feed_{:06}.npz", feed);
}

/// The existing files that may be overwritten: of a folder, those that are named as feeds are.
std::vector<NamedPath> outputs_of(const Options& options) {
  if (writes_npz(options.output)) return {{"--output", options.output}};
  std::vector<NamedPath> outputs;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(options.output, failed)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("feed_") && name.ends_with(".npz")) outputs.push_back({"--output", entry.path().string()});
  }
  return outputs;
}

void check_output(const std::string& output) {
  if (writes_npz(output)) {
    check_writable(output);
    return;
  }
  std::error_code failed;
  fs::create_directories(output, failed);
  if (!fs::is_directory(output, failed)) {
    throw Error(ErrorKind::kData, "can not write into '{}': not a folder that can be made; a single file ends in .npz",
                output);
  }
  check_writable(fs::path(output) / feed_file(0));
}

Tensor joined(const Results& results, size_t output, const std::string& name) {
  const Tensor& first = results.front()[output];
  Shape shape = first.shape();
  if (shape.empty()) shape = {1};
  int64_t rows = 0;
  for (const auto& tensors : results) {
    const Shape& own = tensors[output].shape();
    const bool fits =
        own.size() == first.rank() && (own.empty() || std::equal(own.begin() + 1, own.end(), shape.begin() + 1));
    if (!fits) {
      throw Error(ErrorKind::kUsage, "output '{}' has shape {} for one feed and {} for another: give -o a folder", name,
                  shape_text(first.shape()), shape_text(own));
    }
    rows += own.empty() ? 1 : own[0];
  }
  shape[0] = rows;
  Tensor all(first.type(), shape);
  std::byte* target = all.mutable_bytes();
  for (const auto& tensors : results) {
    const Tensor& part = tensors[output];
    std::memcpy(target, part.bytes(), part.byte_size());
    target += part.byte_size();
  }
  return all;
}

Results run_all(const exec::Program& program, const DataSource& data, const Options& options, Stages& stages) {
  const calib::DataReader& reader = *data.reader;
  Results results(static_cast<size_t>(reader.size()));
  const Progress progress = stages.progress();
  exec::State state(program, data.state);
  const int workers = state.empty() ? static_cast<int>(std::min<int64_t>(options.common.threads, reader.size())) : 1;
  int64_t done = 0;
  run_workers(workers, [&](int worker) {
    Workspace workspace;
    for (int64_t i = worker; i < reader.size(); i += workers) {
      check_interruption();
      results[static_cast<size_t>(i)] =
          in_context(fmt::format("feed {}", i), [&] { return program.run(state.complete(reader.read(i)), workspace); });
      state.update(results[static_cast<size_t>(i)]);
      if (worker == 0) progress("run", done = i, reader.size());
    }
  });
  return results;
}

void write_results(const Results& results, const std::vector<std::string>& names, const std::string& output) {
  const auto arrays_of = [&](const std::vector<Tensor>& tensors) {
    NamedArrays arrays;
    for (size_t i = 0; i < names.size(); ++i) arrays.emplace_back(names[i], tensors[i]);
    return arrays;
  };
  if (writes_npz(output)) {
    std::vector<Tensor> all;
    for (size_t i = 0; i < names.size(); ++i) all.push_back(joined(results, i, names[i]));
    write_npz(output, arrays_of(all));
    return;
  }
  for (size_t feed = 0; feed < results.size(); ++feed) {
    write_npz(fs::path(output) / feed_file(feed), arrays_of(results[feed]));
  }
}

void print_summary(const Options& options, const Runner& runner, int64_t feeds, double seconds) {
  if (options.common.json()) {
    print_result(json_text({{"format", "narrow-run"},
                            {"version", 1},
                            {"output", options.output},
                            {"runtime", runtime_name(runner.runtime)},
                            {"feeds", feeds},
                            {"outputs", runner.program.output_names()},
                            {"seconds", seconds}}));
    return;
  }
  print_result(fmt::format("{}: {} of {} ({} runtime) in {}\n", options.output,
                           report::plural(static_cast<int64_t>(runner.program.output_names().size()), "output"),
                           report::plural(feeds, "feed"), runtime_name(runner.runtime), report::seconds_text(seconds)));
}

}  // namespace

int run_run(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positional("MODEL", options.model, "float or quantized ONNX model");
  line.option("--data", options.data, {"DATA", "samples; a file or folder"});
  line.option("-o,--output", options.output, {"OUT", "OUT.npz, or a folder for one .npz per feed"});
  add_runtime_option(line, options.runtime);
  add_config_option(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  line.require("--data");
  line.require("--output");
  apply_common_options(options.common);
  const Runtime runtime = runtime_from_name(options.runtime);
  const Config config = read_config(options.flags);
  check_outputs({{"the model", options.model}, {"--data", options.data}, {"--config", options.flags.config_path}},
                {{"--output", writes_npz(options.output) ? options.output : ""}});
  check_output(options.output);
  Stages stages(progress_style(options.common));
  const std::vector<NamedPath> outputs = outputs_of(options);
  const ModelSource source = open_model(options.model, outputs, stages);
  const Runner runner = stages.run("compile", [&] { return make_runner(source.loaded, runtime); });
  const DataSource data = open_source(options.data, {model_inputs(source.loaded), config.inputs, outputs}, stages);
  const Results results = stages.run("run", [&] { return run_all(runner.program, data, options, stages); });
  write_results(results, runner.program.output_names(), options.output);
  print_summary(options, runner, data.reader->size(), stages.seconds("run"));
  return 0;
}

}  // namespace narrow::apps
