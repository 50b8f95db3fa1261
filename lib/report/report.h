// What a conversion gave, as data: the renderers and the gates read nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/json.h"
#include "lib/plan/plan.h"
#include "lib/report/document.h"
#include "lib/report/gates.h"
#include "lib/validate/validate.h"

namespace narrow::report {

/// Version of the JSON form.
inline constexpr int kReportVersion = 1;

struct Versions {
  std::string narrow;
  std::string onnx;
  std::string onednn;
  std::string protobuf;
  std::string isa;  // instruction set that oneDNN may use here
};

struct ModelFacts {
  std::string path;
  std::string sha256;
  int64_t file_bytes = 0;    // with external data
  int64_t weight_bytes = 0;  // all constant tensors
};

struct DataFacts {
  std::string path;
  std::string sha256;
  int64_t samples = 0;  // used, not held
};

struct CalibrationFacts {
  std::optional<DataFacts> data;  // absent: ranges came from a file
  std::string source;             // "data", "calibration table PATH" or "plan PATH"
  int64_t samples = 0;
  double seconds = 0;
};

/// What recovery tried and what it took.
struct RecoveryTrial {
  std::string steps;         // "plain", "equalize 0.5, round"
  double sqnr_db = 0;        // of the outputs, over samples that chose no weights; the mean of samples and outputs
  double gain_db = 0;        // on plain, over the same samples,
  double gain_error_db = 0;  // and its standard error
  double seconds = 0;
};

struct RecoveryFacts {
  std::vector<RecoveryTrial> trials;  // in the order they were made, plain first
  size_t chosen = 0;                  // index into trials
  int64_t samples = 0;                // that chose weights
  int64_t held_samples = 0;           // that judged
  struct Layer {
    std::string node;
    double nearest_error = 0;    // shares of the layer's output energy: with nearest rounding and the best bias,
    double recovered_error = 0;  // with the chosen integers,
    double held_error = 0;       // the same on samples that did not choose them
  };
  std::vector<Layer> layers;  // of what was chosen
};

/// What a search for mixed precision tried.
struct TuneTrial {
  std::string step;  // why it was tried
  int64_t file_bytes = 0;
  std::optional<double> seconds;  // of one run, where the search measured it
  double integer_macs = 0;        // share of the multiply-accumulates that run on integers
  double sqnr_db = 0;
  double sqnr_error = 0;  // standard error over the samples
  std::optional<double> agreement;
  double drop = 0;                   // percentage points, as measured
  double expected_drop = 0;          // as expected from the noise
  double most_drop = 0;              // what other samples may lose
  std::vector<std::string> changed;  // layers that are not as the config says, with what they became
  bool kept = false;                 // the limit
};

struct TuneFacts {
  std::string limit;  // "at most 0.5 points of agreement lost"
  std::string lost;   // what `drop` counts: "agreement", "top-1", "cosine similarity"
  bool kept = false;
  bool interrupted = false;
  int64_t samples = 0;            // that judged
  int64_t new_samples = 0;        // of these, those that are no copies of each other or of samples that calibrated
  std::vector<TuneTrial> trials;  // in the order they were made
  size_t chosen = 0;              // index into trials
  struct Effect {
    std::string rounded;  // "weight NODE TENSOR int8 channel 0", "value NAME uint8"
    double sqnr_db = 0;   // at the outputs, when it alone is rounded
    std::optional<double> divergence;
    std::optional<double> agreement;
  };
  std::vector<Effect> sensitivity;  // noisiest first
};

struct StageTime {
  std::string name;
  double seconds = 0;
};

struct IsaOutput {
  std::string name;
  double sqnr_db = 0;
  std::optional<double> agreement;
};

/// Validation as a CPU with another instruction set computes.
struct IsaRun {
  std::string isa;
  bool saturates_pairs = false;
  std::vector<IsaOutput> outputs;
  int64_t kernels = 0;                     // compared with plain integer loops
  std::vector<std::string> inexact_nodes;  // of those, that differed by more than rounding explains
};

struct Report {
  std::string command;  // "quantize", "tune" or "validate"
  std::string recipe;   // one line for people: "int8 weights per channel, uint8 activations, minmax"
  Versions versions;
  ModelFacts float_model;
  ModelFacts quantized_model;
  Json options;  // the effective ones
  std::optional<CalibrationFacts> calibration;
  std::optional<RecoveryFacts> recovery;
  std::optional<TuneFacts> tuning;
  std::optional<plan::PrecisionPlan> plan;
  std::optional<DataFacts> evaluation;
  std::optional<validate::Validation> validation;
  std::vector<IsaRun> isas;  // with --isa all
  std::vector<Gate> gates;
  std::vector<StageTime> stages;
  std::vector<std::string> warnings;
  std::vector<std::string> notes;
};

/// Complete, versioned, in stable order. Infinite numbers are the strings "inf" and "-inf", NaN is null.
Json to_json(const Report& report);

/// The part for people.
Document to_document(const Report& report);

/// "17 nodes quantized, 10 folded, 0 float"; `folded_into` stands behind "folded".
std::string decisions_text(const plan::PrecisionPlan& plan, std::string_view folded_into = "");

/// Each gate with its verdict.
Section gates_section(const std::vector<Gate>& gates);

/// A JUnit test suite with gates as its cases.
struct GateSuite {
  std::string name;
  std::string subject;  // the file that was judged
};
std::string render_junit(const GateSuite& suite, const std::vector<Gate>& gates);

enum class ReportFormat { kJson, kMarkdown, kHtml, kJunit, kText };

/// By extension: .json .md .html .xml .txt. Throws Error(kUsage) for another one.
ReportFormat report_format_of(const std::string& path);
std::string render(const Report& report, ReportFormat format);

}  // namespace narrow::report
