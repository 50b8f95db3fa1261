#include "apps/runner.h"

#include "apps/model_source.h"
#include "lib/base/error.h"
#include "lib/base/suggest.h"
#include "lib/exec/float_program.h"
#include "lib/runtime/lower.h"

namespace narrow::apps {

void add_runtime_option(CommandLine& line, std::string& name) {
  line.option("--runtime", name, {"NAME", "auto, float or integer; auto: integer for a quantized model (auto)"});
}

Runtime runtime_from_name(const std::string& name) {
  const std::vector<std::string> names{"auto", "float", "integer"};
  for (const Runtime runtime : {Runtime::kAuto, Runtime::kFloat, Runtime::kInteger}) {
    if (runtime_name(runtime) == name) return runtime;
  }
  const std::string suggestion = did_you_mean(name, names);
  throw Error(ErrorKind::kUsage, "--runtime: unknown runtime '{}'{}", name,
              suggestion.empty() ? "; use auto, float or integer" : suggestion);
}

std::string runtime_name(Runtime runtime) {
  return runtime == Runtime::kAuto ? "auto" : runtime == Runtime::kFloat ? "float" : "integer";
}

Runner make_runner(const graph::Model& model, Runtime runtime) {
  const bool quantized = quantized_operator(model).has_value();
  if (runtime == Runtime::kInteger && !quantized) {
    throw Error(ErrorKind::kUsage, "--runtime integer: the model is not quantized; use --runtime float");
  }
  const bool integer = runtime == Runtime::kInteger || (runtime == Runtime::kAuto && quantized);
  if (integer) return {runtime::lower(model).program, Runtime::kInteger};
  return {exec::compile_float(model), Runtime::kFloat};
}

}  // namespace narrow::apps
