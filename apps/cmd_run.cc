#include <fmt/format.h>

#include <filesystem>

#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/config.h"
#include "apps/data_source.h"
#include "apps/model_source.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/run_outputs.h"
#include "apps/runner.h"
#include "lib/base/error.h"
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
      results[static_cast<size_t>(i)] = in_context(
          fmt::format("feed {}", i), [&] { return program.run(state.complete(reader.read_stateless(i)), workspace); });
      state.update(results[static_cast<size_t>(i)]);
      if (worker == 0) progress("run", done = i, reader.size());
    }
  });
  return results;
}

/// A model without inputs needs no data: it runs once.
DataSource open_data_of(const Options& options, const DataUse& use, Stages& stages) {
  const auto inputs = static_cast<int64_t>(model_inputs(use.model).size());
  if (options.data.empty() && inputs == 0) {
    return {.path = "", .reader = calib::nothing_to_read(), .sha256 = "", .state = {}};
  }
  if (options.data.empty())
    throw Error(ErrorKind::kUsage, "option --data is missing: the model has {}", report::plural(inputs, "input"));
  return open_source(options.data, use, stages);
}

std::vector<RunOutput> outputs_of(const graph::Model& model, const exec::Program& program) {
  const std::vector<std::string>& names = program.output_names();
  std::vector<RunOutput> outputs;
  for (size_t i = 0; i < names.size(); ++i) {
    outputs.push_back({names[i], graph::declared_value(model.graph().output(static_cast<int>(i)).type()).form});
  }
  return outputs;
}

void print_summary(const Options& options, const Runner& runner, const std::vector<std::string>& outputs, int64_t feeds,
                   double seconds) {
  if (options.common.json()) {
    print_result(json_text({{"format", "narrow-run"},
                            {"version", 1},
                            {"output", options.output},
                            {"runtime", runtime_name(runner.runtime)},
                            {"feeds", feeds},
                            {"outputs", outputs},
                            {"seconds", seconds}}));
    return;
  }
  print_result(fmt::format("{}: {} of {} ({} runtime) in {}\n", options.output,
                           report::plural(static_cast<int64_t>(outputs.size()), "output"),
                           report::plural(feeds, "feed"), runtime_name(runner.runtime), report::seconds_text(seconds)));
}

}  // namespace

int run_run(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positional("MODEL", options.model, "float or quantized ONNX model");
  line.option("--data", options.data, {"DATA", "samples; a file or folder (a model without inputs needs none)"});
  line.option("-o,--output", options.output,
              {"OUT", "OUT.npz, or a folder for one .npz per feed (output_N.pb for sequences, optionals)"});
  add_runtime_option(line, options.runtime);
  add_config_option(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  line.require("--output");
  apply_common_options(options.common);
  const Runtime runtime = runtime_from_name(options.runtime);
  const Config config = read_config(options.flags);
  check_outputs({{"the model", options.model}, {"--data", options.data}, {"--config", options.flags.config_path}},
                {{"--output", writes_npz(options.output) ? options.output : ""}});
  const auto folder = check_output(options.output);
  Stages stages(progress_style(options.common));
  const std::vector<NamedPath> outputs = files_of_output(options.output);
  ModelSource source = open_model(options.model, outputs, stages);
  feed_defaults(source.loaded, options.data);
  if (source.loaded.graph().output_size() == 0) {
    throw Error(ErrorKind::kModel, "'{}' has no outputs: there is nothing to write", options.model);
  }
  const Runner runner = stages.run("compile", [&] { return make_runner(source.loaded, runtime); });
  // Masks of attention hold -infinity.
  const DataSource data = open_data_of(options, {source.loaded, config.inputs, outputs, /*any_number=*/true}, stages);
  const Results results = stages.run("run", [&] { return run_all(runner.program, data, options, stages); });
  const std::vector<std::string> written =
      write_results(results, outputs_of(source.loaded, runner.program), options.output);
  print_summary(options, runner, written, data.reader->size(), stages.seconds("run"));
  return 0;
}

}  // namespace narrow::apps
