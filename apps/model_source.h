// A model file as the user gave it, and what stands in reports about it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/paths.h"
#include "apps/stages.h"
#include "calib/data_reader.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/report/report.h"

namespace narrow::apps {

struct ModelSource {
  graph::Model loaded;
  report::ModelFacts facts;
  int file_opset = 0;  // as the file has it: `loaded` has a higher one where that is too old
};

/// "opset 5 of the file was raised to 9"; absent where it was not.
std::optional<std::string> raised_opset_note(const ModelSource& source);

/// Loads, checks and hashes. Errors as io::load_model; Error(kUsage) if one of `outputs`, what the command writes,
/// would overwrite the model's external data.
ModelSource open_model(const std::string& path, const std::vector<NamedPath>& outputs, Stages& stages);

/// prepare, fold_constants, apply_constants, fold_linear, dense_heads, shapes inferred after each: the form that
/// analysis and rewrite want. `prepared` is told of the nodes that are gone then.
graph::Model normalize(const graph::Model& loaded, Stages& stages,
                       std::vector<plan::PreparedNodes>* prepared = nullptr);

/// What the graph wants to be fed.
std::vector<calib::InputSpec> model_inputs(const graph::Model& model);

/// Inputs that an initializer gives a default lose it where the data has an array of that name: then they are fed.
void feed_defaults(graph::Model& model, const std::string& data);

/// Bytes of all initializers and Constant nodes of the main graph.
int64_t weight_bytes(const graph::Model& model);

/// Number of nodes of the type, those in bodies and functions too.
int64_t count_nodes(const graph::Model& model, std::string_view op_type);

/// The operator of the first node that makes or takes quantized numbers (QuantizeLinear, MatMulInteger, QLinearConv,
/// ...), in functions too; absent for a float model.
std::optional<std::string> quantized_operator(const graph::Model& model);

}  // namespace narrow::apps
