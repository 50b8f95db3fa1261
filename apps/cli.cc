#include "apps/cli.h"

#include <fmt/format.h>

#include <array>

#include "apps/output.h"
#include "apps/versions.h"
#include "lib/base/error.h"
#include "lib/base/suggest.h"

namespace narrow::apps {
namespace {

constexpr std::array kCommands{
    Command{"quantize", "FP32 model and data in, validated INT8 model and report out", run_quantize},
    Command{"tune", "search the cheapest mixed precision that keeps a limit", run_tune},
    Command{"sensitivity", "measure what quantizing each layer alone loses", run_sensitivity},
    Command{"calibrate", "observe the ranges of the activations, write them to a file", run_calibrate},
    Command{"plan", "decide type and parameters of every layer, write them to a file", run_plan},
    Command{"validate", "compare a quantized model, on integer kernels, with its float model", run_validate},
    Command{"run", "run a model over data, write its outputs", run_run},
    Command{"inspect", "show what a model holds and what would be quantized", run_inspect},
    Command{"diff", "say what differs between two plans, tables, reports or models", run_diff},
    Command{"import", "read onnxruntime's settings as a config and a calibration table", run_import},
    Command{"bench", "measure speed and latency of models, in turn", run_bench},
};

constexpr std::string_view kExamples = R"(narrow: FP32 ONNX models into validated quantized ONNX models

examples:
  narrow quantize model.onnx -o model.int8.onnx --data images/
  narrow quantize model.onnx -o model.int8.onnx --data calib.npy --config narrow.json --min-agreement 0.97
  narrow validate model.onnx model.int8.onnx --data eval.npy --labels labels.npy
  narrow bench model.onnx model.int8.onnx --batch 8

)";

std::string help_text() {
  std::string text(kExamples);
  text += "commands:\n";
  for (const Command& command : kCommands) text += fmt::format("  {:<11} {}\n", command.name, command.help);
  text += "\n'narrow COMMAND --help' shows a command's options; 'narrow --version' the versions in use.\n";
  text += "exit codes: 0 ok, 1 a gate failed, 2 usage or config, 3 bad model, 4 unsupported, 5 data or I/O,\n";
  text += "            70 internal, 130 interrupted\n";
  return text;
}

[[noreturn]] void fail_unknown(const std::string& word) {
  std::vector<std::string> known;
  for (const Command& command : kCommands) known.emplace_back(command.name);
  if (word.starts_with("-")) {
    throw Error(ErrorKind::kUsage, "unknown option '{}'; options follow a command: see 'narrow --help'", word);
  }
  const std::string suggestion = did_you_mean(word, known);
  throw Error(ErrorKind::kUsage, "unknown command '{}'{}", word,
              suggestion.empty() ? "; see 'narrow --help'" : suggestion);
}

}  // namespace

std::span<const Command> command_table() {
  return kCommands;
}

int run_cli(const Arguments& arguments) {
  if (arguments.empty()) {
    print_error_text(help_text());
    return exit_code(ErrorKind::kUsage);
  }
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") {
    print_result(help_text());
    return 0;
  }
  if (first == "--version") {
    print_result(version_text());
    return 0;
  }
  for (const Command& command : kCommands) {
    if (command.name == first) return command.run(Arguments(arguments.begin() + 1, arguments.end()));
  }
  fail_unknown(first);
}

}  // namespace narrow::apps
