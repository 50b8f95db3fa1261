// A "no" that is an answer, not an error: why a node stays float, or why it does not run on an integer kernel, or why
// integers do not make it faster.
#pragma once

#include <string>
#include <string_view>

namespace narrow {

enum class ReasonCode {
  kKeptByRule,            // a rule of the config says float32
  kOperatorNotQuantized,  // the operator has no integer form worth having
  kWeightNotConstant,
  kBiasNotConstant,
  kNotFloat,  // the value is not float32: shapes, indices, masks
  kUnsupportedAttribute,
  kNoRange,          // calibration never saw the value
  kDegenerateRange,  // NaN or infinity only, or a range no scale can express
  kNeighbourFloat,   // its neighbours are float: quantizing it costs accuracy and gains no speed
  kNoIntegerKernel,  // quantized, but our runtime has no integer kernel for it
  kNotFusable,       // quantized, but the Q/DQ pattern around it is incomplete
  kTargetCanNot,     // the runtime that will read the model can not run it
  kNotHalf,          // the operator or a constant does not go into float16 or bfloat16
  kNoWeight,         // weight-only: there is no constant weight to store in fewer bits
  kStoredWeight,     // computes in float32 on a weight that is dequantized
  kConversion,       // not faster: it is not there in float
  kShortStep,        // not faster: being called takes most of its time
  kNoProducts,       // not faster: it multiplies nothing
  kFewProducts,      // not faster: too few products for each element
  kSlowKernel,       // not faster: the kernel gains nothing
};

/// Stable spelling in JSON, such as "kept_by_rule".
std::string_view reason_code_name(ReasonCode code);

/// The sentence every reason of this code starts with.
std::string_view reason_sentence(ReasonCode code);

struct Reason {
  ReasonCode code = ReasonCode::kOperatorNotQuantized;
  std::string detail;  // may be empty

  /// "sentence" or "sentence: detail".
  std::string text() const;
  bool operator==(const Reason&) const = default;
};

/// The code with this name; throws Error(kUsage) for an unknown one.
ReasonCode reason_code_from_name(std::string_view name);

}  // namespace narrow
