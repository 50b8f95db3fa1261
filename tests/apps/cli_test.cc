#include "apps/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "lib/base/file.h"
#include "lib/quant/calibrator_spec.h"
#include "lib/report/gates.h"
#include "tests/apps/program.h"

namespace narrow::apps {
namespace {

using test::Outcome;
using test::run_narrow;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Cli, NothingToDoShowsShortHelpAndFails) {
  const Outcome outcome = run_narrow("");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("examples:"));
}

TEST(Cli, HelpLeadsWithExamplesAndSucceeds) {
  const Outcome outcome = run_narrow("--help");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, StartsWith("narrow: FP32 ONNX models into validated quantized ONNX models\n\nexamples:\n"));
  for (const Command& command : command_table()) {
    EXPECT_THAT(outcome.out, HasSubstr("  " + std::string(command.name) + " "));
    const Outcome help = run_narrow(std::string(command.name) + " --help");
    EXPECT_EQ(help.exit_code, 0) << command.name;
    EXPECT_THAT(help.out, HasSubstr("\nexamples:\n")) << command.name;
    EXPECT_THAT(help.out, HasSubstr("\nusage: narrow " + std::string(command.name) + " ")) << command.name;
    EXPECT_THAT(help.out, HasSubstr("--format text|json")) << command.name;
  }
}

TEST(Cli, HelpNamesEveryCalibratorAndGate) {
  const std::string help = run_narrow("quantize --help").out;
  for (const std::string& name : quant::calibration_method_names()) EXPECT_THAT(help, HasSubstr(name));
  for (const report::GateRow& gate : report::gate_table()) EXPECT_THAT(help, HasSubstr(std::string(gate.flag)));
}

TEST(Cli, VersionNamesWhatItIsMadeOf) {
  const Outcome outcome = run_narrow("--version");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, testing::ContainsRegex("narrow [0-9.]+\nONNX [0-9.]+, oneDNN 3[0-9.]+, protobuf [0-9.]+\n"
                                                  "instruction set [a-z0-9_]+\n"));
}

TEST(Cli, MistakesGetOneLineWithASuggestion) {
  const auto expect_line = [](const std::string& arguments, const std::string& line) {
    const Outcome outcome = run_narrow(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_EQ(outcome.err, "narrow: error: " + line + "\n") << arguments;
  };
  expect_line("quantise m.onnx", "unknown command 'quantise'; did you mean 'quantize'?");
  expect_line("frobnicate", "unknown command 'frobnicate'; see 'narrow --help'");
  expect_line("--dta x", "unknown option '--dta'; options follow a command: see 'narrow --help'");
  expect_line("quantize m.onnx --dta x", "quantize: unknown option '--dta'; did you mean '--data'?");
  expect_line("quantize m.onnx --zzzzzzzz", "quantize: unknown option '--zzzzzzzz'; see 'narrow quantize --help'");
  expect_line("quantize", "quantize: MODEL is missing");
  expect_line("quantize m.onnx --data d.npy", "quantize: option --output is missing");
  expect_line("quantize m.onnx -o /tmp/never.onnx", "quantize: option --data is missing");
  expect_line("inspect a.onnx b.onnx", "inspect: one argument too many: 'b.onnx'");
  expect_line("inspect a.onnx --format xml", "--format: unknown form 'xml'; use text or json");
  expect_line("inspect a.onnx --threads -3", "--threads: -3 is not between 1 and 1024");
  expect_line("inspect a.onnx --threads 0", "--threads: 0 is not between 1 and 1024");
  expect_line("inspect a.onnx --threads two", "inspect: --threads: 'two' is not an integer");
  expect_line("inspect a.onnx --threads 1.5", "inspect: --threads: '1.5' is not an integer");
  expect_line("inspect a.onnx --threads 1 --threads 2", "inspect: --threads is given twice");
  expect_line("inspect a.onnx --threads", "inspect: --threads needs a value");
  expect_line("inspect a.onnx --quiet=5", "inspect: --quiet takes no value");
  expect_line("quantize m.onnx -o a -o b", "quantize: --output is given twice");
  expect_line("quantize m.onnx --data -o b", "quantize: --data needs a value");
  expect_line("quantize m.onnx --report", "quantize: --report needs a value");
  expect_line("quantize m.onnx --percentile=x", "quantize: --percentile: 'x' is not a number");
  expect_line("quantize m.onnx --min-sqnr high", "quantize: --min-sqnr: 'high' is not a number");
  expect_line("run m.onnx --data d -o o.npz --runtime fast",
              "--runtime: unknown runtime 'fast'; use auto, float or integer");
  expect_line("calibrate m.onnx --data d -o /tmp/never.json --method entrpy",
              "--method: unknown calibration method 'entrpy'; did you mean 'entropy'?");
}

TEST(Cli, AValueOfTheWrongKindNamesTheOption) {
  const Outcome outcome = run_narrow("quantize m.onnx --samples many");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--samples"));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
}

TEST(Cli, ErrorsAreJsonOnStdoutWhenAskedFor) {
  const Outcome outcome = run_narrow("inspect no_such_file.onnx --format json");
  EXPECT_EQ(outcome.exit_code, 5);
  const Json json = parse_json(outcome.out, "stdout");
  EXPECT_EQ(json["error"]["kind"], "data");
  EXPECT_THAT(json["error"]["message"].get<std::string>(), HasSubstr("no_such_file.onnx"));
  EXPECT_THAT(outcome.err, StartsWith("narrow: error: "));
}

TEST(Cli, ClosedStdoutEndsQuietly) {
  const Outcome outcome = run_narrow("--help >&-");
  EXPECT_NE(outcome.exit_code, 0);
  const Outcome full = run_narrow("--help >/dev/full");
  EXPECT_EQ(full.exit_code, 5);
  EXPECT_EQ(full.err, "narrow: error: can not write to standard output: No space left on device\n");
}

TEST(Cli, ABrokenPipeEndsQuietly) {
  const test::TemporaryFolder folder;
  const std::string err = folder.path("err");
  // The reader is gone before the program writes.
  const std::string command = "bash -c '{ sleep 0.3; " + test::narrow_program() + " --help 2>" + err + "; echo $? > " +
                              folder.path("code") + "; } | true; wait'";
  ASSERT_NE(std::system(command.c_str()), -1);
  EXPECT_EQ(read_text(folder.path("code")), "141\n");
  EXPECT_EQ(read_text(err), "");
}

/// docs/cli.md is the help of every command; NARROW_UPDATE_GOLDENS=1 writes it anew.
TEST(CliGolden, DocumentationEqualsHelp) {
  std::string text =
      "# The command line\n\n"
      "The text of `narrow --help` and of each command's `--help`; a test keeps it so. "
      "File formats are in [formats.md](formats.md).\n\n"
      "```text\n" +
      run_narrow("--help").out + "```\n";
  for (const Command& command : command_table()) {
    const std::string name(command.name);
    text += "\n## narrow " + name + "\n\n```text\n" + run_narrow(name + " --help").out + "```\n";
  }
  if (std::getenv("NARROW_UPDATE_GOLDENS") != nullptr) write_file("docs/cli.md", text);
  EXPECT_EQ(text, read_text("docs/cli.md"));
}

}  // namespace
}  // namespace narrow::apps
