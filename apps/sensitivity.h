// The sensitivity table of a model: what quantizing each of its layers, groups of layers and tensors does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/pipeline.h"
#include "apps/stages.h"
#include "lib/base/json.h"
#include "lib/report/document.h"
#include "lib/report/report.h"
#include "lib/tune/effect.h"

namespace narrow::apps {

struct SensitivityOptions {
  PipelineOptions pipeline;         // `labels` are of `data`; nothing is written but `trail`
  std::vector<std::string> groups;  // globs over names of layers
  int64_t measured = 64;            // calibration samples that layers and groups are measured on
  std::string trail;                // file to go on from and to keep up; "": none
};

struct SensitivityTable {
  struct Row {
    std::string kind;  // "layer", "operator", "block", "group"
    std::string name;
    std::vector<std::string> layers;
    double macs = 0;          // share of the model's multiply-accumulates
    tune::Effect quantized;   // it alone is quantized, the rest float32
    tune::Effect left_float;  // it alone is float32, the rest quantized
    double gain_db = 0;       // of leaving it float32: SQNR on that of the whole model quantized
  };
  struct TensorRow {
    std::string rounded;
    tune::Effect effect;
  };

  std::string model;
  std::string model_sha256;
  report::DataFacts data;
  std::string recipe;
  int64_t tensor_samples = 0;
  std::optional<double> float_top1;
  tune::Effect all;                // the whole model quantized
  std::vector<Row> rows;           // noisiest first
  std::vector<TensorRow> tensors;  // noisiest first
  std::vector<std::string> warnings;
  std::vector<report::StageTime> stages;
};

/// Throws Error(kUsage) for a group without quantized layers and for a trail of something else.
SensitivityTable measure_table(const SensitivityOptions& options, Stages& stages);

/// configs/sensitivity.schema.json.
Json to_json(const SensitivityTable& table);
report::Document to_document(const SensitivityTable& table);

}  // namespace narrow::apps
