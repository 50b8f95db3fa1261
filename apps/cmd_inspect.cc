#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/inspect.h"
#include "apps/output.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{.name = "inspect",
                        .summary = "show what a model holds and what would be quantized",
                        .examples = {"inspect model.onnx", "inspect model.onnx --format json"},
                        .usage = "inspect MODEL [options]"};

}  // namespace

int run_inspect(const Arguments& arguments) {
  std::string model;
  CommonOptions common;
  CommandLine line(kHelp);
  line.positional("MODEL", model, "float or quantized ONNX model");
  add_common_options(line, common);
  if (!line.parse(arguments)) return 0;
  apply_common_options(common);
  Stages stages(progress_style(common));
  const Inspection inspection = inspect(open_model(model, {}, stages), stages);
  print_result(common.json() ? json_text(to_json(inspection)) : report::render_text(to_document(inspection)));
  return 0;
}

}  // namespace narrow::apps
