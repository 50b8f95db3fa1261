// The precision plan: type and parameters, or a reason, for every layer. A JSON file that people review and feed back.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/base/json.h"
#include "lib/base/reason.h"
#include "lib/graph/model.h"
#include "lib/plan/recovery.h"
#include "lib/plan/rules.h"
#include "lib/plan/target.h"
#include "lib/quant/quant_params.h"

namespace narrow::plan {

enum class Decision {
  kQuantize,    // runs on integers
  kDynamic,     // products on integers, of activations that are quantized as the model runs
  kFold,        // vanishes into the quantization of its producer's output
  kWeightOnly,  // computes in float32 on a weight that is stored in fewer bits
  kFloat16,     // computes in float16
  kBfloat16,    // computes in bfloat16
  kFloat,       // stays float32
};

std::string_view decision_name(Decision decision);

/// The 16-bit type that a layer computes in; nullopt for other decisions.
std::optional<DataType> half_type(Decision decision);

/// Where a value's range comes from, as the calibration stage hands it over.
struct ValueRange {
  quant::Range range;
  std::string calibrator;          // such as "minmax", for people
  std::optional<Reason> unusable;  // no usable range: why
};

/// Ranges by group representative.
using Ranges = std::map<std::string, ValueRange>;

struct ValuePlan {
  std::string value;
  quant::QuantParams params;
  quant::Range range;
  std::string calibrator;
};

struct WeightPlan {
  int input = 0;
  std::string initializer;
  quant::QuantParams params;
  int64_t enlarged_channels = 0;  // channels whose scale was enlarged so that the int32 bias fits
  Operators operators = Operators::kStandard;
};

/// A constant that is converted to 16 bits so that its errors sum to nothing; others go to the nearest.
struct HalfWeightPlan {
  int input = 0;
  std::string initializer;
  SumAxes sum_axes;
};

struct LayerPlan {
  std::string node;
  std::string op_type;
  Decision decision = Decision::kFloat;
  std::string rule;                                   // what decided: "defaults", "rules[1] (name head/*)", "structure"
  std::optional<Reason> reason;                       // kFloat only
  std::vector<std::string> adapted;                   // why the target made something else of it than the rules say
  std::vector<std::string> activations;               // values read in quantized form; kQuantize only, as `outputs`
  std::vector<std::string> outputs;                   // values made in quantized form
  RecoveryMethods recovery = all_recovery_methods();  // those that may change it
  std::optional<WeightPlan> weight;
  std::vector<WeightPlan> more_weights;       // kWeightOnly: further ones, of LSTM, GRU and RNN
  std::optional<HalfWeightPlan> half_weight;  // kFloat16 and kBfloat16
  std::optional<int> bias_input;              // slot of a constant bias that becomes int32
};

/// Whether recovery may change the layer by the method.
bool allows(const LayerPlan& layer, RecoveryMethod method);

/// What became of a node of the file that is gone before anything is planned.
enum class Fate { kComputedOnce, kFolded, kReplaced };

/// Such as "computed_once", and the sentence that says why.
std::string_view fate_name(Fate fate);
std::string_view fate_text(Fate fate);

struct PreparedNodes {
  Fate fate = Fate::kComputedOnce;
  std::vector<std::string> nodes;
};

/// What holds for the whole file.
struct FileForm {
  FileFormat format = FileFormat::kQdq;
  bool microsoft = true;                // kQoperator: may use the operators of com.microsoft
  bool pair_per_reader = false;         // each reader of a value has a Q/DQ pair of its own
  bool biases_apart = false;            // of convolutions whose results have no known shape, in sums behind them
  std::vector<std::string> integer_io;  // inputs and outputs of the model that are integers in the file
  bool operator==(const FileForm&) const = default;
};

struct PrecisionPlan {
  std::string model_sha256;
  FileForm form;
  std::optional<RecoveryRecord> recovery;  // absent: the model's constants are as they were
  std::vector<PreparedNodes> prepared;     // for people: nodes of the file that are no layers
  std::vector<LayerPlan> layers;           // every node of the normalized model, in order
  std::vector<ValuePlan> values;           // every quantized value, in graph order
};

/// What calibration must know before it runs: for each group that some layer will quantize, how.
struct GroupNeed {
  std::vector<std::string> sources;  // values to observe; empty if the range is fixed by the operator or a constant
  quant::Scheme scheme;
  quant::CalibratorSpec calibrator;
};

/// Group representative -> need. Throws Error(kUsage) as resolve_rules does.
std::map<std::string, GroupNeed> calibration_needs(const graph::Model& model, const analyze::Analysis& analysis,
                                                   const Rules& rules);

/// The plan. Layers whose group has no usable range stay float with that reason.
PrecisionPlan make_plan(const graph::Model& model, const analyze::Analysis& analysis, const Ranges& ranges,
                        const Rules& rules);

/// What the file of a quantized model must be for the types that a plan uses.
struct FormatNeeds {
  int opset = 0;
  int ir_version = 0;
};
FormatNeeds format_needs(const PrecisionPlan& plan);

Json to_json(const PrecisionPlan& plan);
/// Throws Error(kUsage) with the path of what is wrong.
PrecisionPlan plan_from_json(const Json& json);
/// Throws Error(kUsage) naming the first difference if the plan was not made for this (normalized) model: an unknown or
/// missing node, an initializer or value that does not exist, as many scales as channels.
void check_plan(const PrecisionPlan& plan, const graph::Model& model);

}  // namespace narrow::plan
