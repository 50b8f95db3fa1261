// ONNX's own backend tests: models with inputs and the outputs they must give.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/model.h"

namespace narrow::exec {

struct OnnxCase {
  std::string set;   // folder it comes from: "node", "simple", ...
  std::string name;  // "test_abs"
  std::filesystem::path model;
  std::vector<std::filesystem::path> data;  // folders with input_N.pb and output_N.pb
  std::filesystem::path only_output;        // of the light models, whose input is generated; empty otherwise
  double relative = 1e-3;                   // tolerances of ONNX's runner
  double absolute = 1e-7;
};

/// All cases below the package's folder onnx/backend/test/data (or Debian's copy of it), by set and name.
std::vector<OnnxCase> find_onnx_cases(const std::filesystem::path& root);

enum class Outcome { kPassed, kRefused, kWrong };

struct Verdict {
  Outcome outcome = Outcome::kPassed;
  std::string detail;  // why it was refused, or what is wrong
};

using Compile = std::function<Program(const graph::Model&)>;

struct RunAs {
  Compile compile;
  bool only_first_input = false;  // the others become initializers
};

/// Compiles the model (compile_float unless `as` says otherwise) and runs it on each set of data.
Verdict run_onnx_case(const OnnxCase& onnx_case, const RunAs& as = {});

/// "Conv", "ai.onnx.ml.Binarizer"; "several" for a model of more nodes than one.
std::string operator_of(const OnnxCase& onnx_case);

}  // namespace narrow::exec
