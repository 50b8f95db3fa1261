// The user's wishes: defaults and ordered rules, the last match wins.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/base/json.h"
#include "lib/plan/match.h"
#include "lib/plan/recovery.h"
#include "lib/plan/target.h"
#include "lib/quant/calibrator_spec.h"
#include "lib/quant/quant_params.h"

namespace narrow::plan {

enum class Granularity { kPerTensor, kPerChannel, kPerBlock };

std::string_view granularity_name(Granularity granularity);

/// How a layer comes to its integers.
enum class Mode {
  kStatic,      // activations have ranges from calibration; products run on integers
  kDynamic,     // activations are quantized by their extremes as the model runs; needs no data
  kWeightOnly,  // the weight is stored in fewer bits and dequantized in front of the float operator; needs no data
  kFloat16,     // computes in float16; needs no data
  kBfloat16,    // computes in bfloat16; needs no data
};

std::string_view mode_name(Mode mode);

/// "minmax", "mse": as the calibrators of activations are called.
std::string_view weight_fit_name(quant::WeightFit fit);

/// How weights become codes; "half_even", "stochastic", "squant".
enum class Rounding {
  kHalfEven,    // to the nearest
  kStochastic,  // to one of the two around it, at random, so that the mean is right
  kSquant,      // to the nearest but for a few, so that the errors of each output's weights sum to nothing
};

std::string_view rounding_name(Rounding rounding);

inline constexpr int64_t kDefaultBlock = 32;
inline constexpr int64_t kDefaultEntries = 16;

/// Which operators read a weight that only is stored in fewer bits.
enum class Operators {
  kStandard,   // DequantizeLinear in front of the float operator
  kMicrosoft,  // MatMulNBits and GatherBlockQuantized of com.microsoft, where they can
};

std::string_view operators_name(Operators operators);

/// Which inputs and outputs of the model are integers in the file.
struct IntegerIo {
  bool inputs = false;
  bool outputs = false;
  std::vector<std::string> names;  // these, or an error if one can not
  std::string place;               // "FILE:LINE" for messages; "" if there is none
};

/// What a layer becomes unless it stays float.
struct LayerScheme {
  Mode mode = Mode::kStatic;
  quant::QuantType weights = quant::QuantType::kInt8;
  bool weights_symmetric = true;
  bool reduce_range = false;                   // 7-bit weights, for CPUs whose int16 pair sums saturate
  std::optional<quant::WeightFit> weight_fit;  // absent: by squared error where the type has 4 bits or less
  Granularity granularity = Granularity::kPerChannel;
  Operators operators = Operators::kStandard;
  int64_t block = kDefaultBlock;      // kPerBlock: neighbours along the summed axis that share a scale
  int64_t entries = kDefaultEntries;  // of a codebook
  int64_t codebook_channels = 0;      // channels that share a codebook; 0: all
  Rounding rounding = Rounding::kHalfEven;
  int64_t seed = 0;  // kStochastic
  quant::QuantType activations = quant::QuantType::kUint8;
  bool activations_symmetric = false;
  quant::CalibratorSpec calibrator;
  RecoveryMethods recovery = all_recovery_methods();  // those that may change the layer
  bool keep_float = false;
  std::string keep_reason;  // the user's own words, may be empty
};

/// "per channel", "per block of 32".
std::string granularity_text(const LayerScheme& scheme);

/// A partial LayerScheme: what a rule sets.
struct SchemePatch {
  std::optional<Mode> mode;
  std::optional<quant::QuantType> weights;
  std::optional<bool> weights_symmetric;
  std::optional<bool> reduce_range;
  std::optional<quant::WeightFit> weight_fit;
  std::optional<Granularity> granularity;
  std::optional<int64_t> block;
  std::optional<Operators> operators;
  std::optional<int64_t> entries;
  std::optional<int64_t> codebook_channels;
  std::optional<Rounding> rounding;
  std::optional<int64_t> seed;
  std::optional<quant::QuantType> activations;
  std::optional<bool> activations_symmetric;
  std::optional<quant::CalibratorSpec> calibrator;
  std::optional<RecoveryMethods> recovery;
  std::optional<bool> keep_float;
  std::optional<std::string> keep_reason;
};

void apply_patch(const SchemePatch& patch, LayerScheme& scheme);

struct Rule {
  Match match;
  SchemePatch set;
  bool optional = false;  // may match nothing
  std::string text;       // such as "rules[2] (op MatMul)", shown in plans
  std::string place;      // "FILE:LINE" for messages; "" if there is none
};

struct Rules {
  Target target = Target::kOnnxruntime;
  FileFormat format = FileFormat::kQdq;
  IntegerIo integer_io;
  LayerScheme defaults;
  std::vector<Rule> rules;
};

/// Reads "target", "format", "integer_io", "defaults", "rules" and "calibration" of a config; `rules` has what holds
/// where the config says nothing. Throws Error(kUsage) with the path of what is wrong.
Rules read_rules(JsonObject& config, Rules rules = {});
/// The effective rules, for the report.
Json to_json(const Rules& rules);

/// A layer's scheme, adapted to the target, and the rule that decided it ("defaults" if none matched).
struct Resolved {
  LayerScheme scheme;
  std::string rule;
  // What each matching rule and the target set: "weights.type: int8 -> int4 by rules[0] (op Gemm)".
  std::vector<std::string> trail;
  std::vector<std::string> adapted;  // why the target made something else of it; see adapt()
};

/// One entry per layer of the analysis. Throws Error(kUsage) for a rule that matches no node, with a suggestion.
std::vector<Resolved> resolve_rules(const analyze::Analysis& analysis, const Rules& rules);

}  // namespace narrow::plan
