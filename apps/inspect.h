// What a model holds and what would be quantized, as data.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "apps/model_source.h"
#include "lib/base/json.h"
#include "lib/report/document.h"

namespace narrow::apps {

struct ValueFacts {
  std::string name;
  std::string type;
  std::string shape;
};

struct FloatGroup {
  std::string op_type;
  std::string reason;
  int64_t nodes = 0;
};

struct Inspection {
  report::ModelFacts file;
  std::string producer;
  int64_t ir_version = 0;
  std::map<std::string, int64_t> opsets;  // by domain, "ai.onnx" for ONNX's own
  int file_opset = 0;                     // ONNX's own as the file has it; loading raises those below 7
  std::vector<std::string> notes;
  std::vector<ValueFacts> inputs;
  std::vector<ValueFacts> outputs;
  std::map<std::string, int64_t> operators;  // nodes of the main graph by operator
  int64_t nodes = 0;
  int64_t parameters = 0;
  std::map<std::string, int64_t> bytes_by_type;
  int64_t quantize_nodes = 0;    // QuantizeLinear
  int64_t dequantize_nodes = 0;  // DequantizeLinear
  // Of a float model, after normalization:
  bool analyzed = false;
  int64_t macs = 0;  // per sample
  int64_t quantizable_macs = 0;
  int64_t quantizable_nodes = 0;
  int64_t normalized_nodes = 0;
  std::vector<FloatGroup> stays_float;
};

Inspection inspect(const ModelSource& source, Stages& stages);
Json to_json(const Inspection& inspection);
report::Document to_document(const Inspection& inspection);

}  // namespace narrow::apps
