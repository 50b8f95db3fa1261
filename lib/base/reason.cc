#include "lib/base/reason.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"

namespace narrow {
namespace {

struct ReasonRow {
  ReasonCode code;
  std::string_view name;
  std::string_view sentence;
};

constexpr std::array kReasons{
    ReasonRow{ReasonCode::kKeptByRule, "kept_by_rule", "kept in float32 by a rule"},
    ReasonRow{ReasonCode::kOperatorNotQuantized, "operator_not_quantized", "the operator is not quantized"},
    ReasonRow{ReasonCode::kWeightNotConstant, "weight_not_constant", "the weight is not constant"},
    ReasonRow{ReasonCode::kBiasNotConstant, "bias_not_constant", "the bias is not constant"},
    ReasonRow{ReasonCode::kNotFloat, "not_float", "its data is not float32"},
    ReasonRow{ReasonCode::kUnsupportedAttribute, "unsupported_attribute", "an attribute has no integer form"},
    ReasonRow{ReasonCode::kNoRange, "no_range", "calibration saw no value here"},
    ReasonRow{ReasonCode::kDegenerateRange, "degenerate_range", "no usable range"},
    ReasonRow{ReasonCode::kNeighbourFloat, "neighbour_float", "integers would not pay here"},
    ReasonRow{ReasonCode::kNoIntegerKernel, "no_integer_kernel", "there is no integer kernel for it"},
    ReasonRow{ReasonCode::kNotFusable, "not_fusable", "its quantization pattern is incomplete"},
    ReasonRow{ReasonCode::kTargetCanNot, "target_can_not", "the target can not run it on integers"},
    ReasonRow{ReasonCode::kNotHalf, "not_half", "it can not compute in 16 bits"},
    ReasonRow{ReasonCode::kNoWeight, "no_weight", "it has no constant float32 weight to store in fewer bits"},
    ReasonRow{ReasonCode::kStoredWeight, "stored_weight",
              "it computes in float32: only its weight is stored in fewer bits"},
    ReasonRow{ReasonCode::kConversion, "conversion", "it converts between float and integers"},
    ReasonRow{ReasonCode::kShortStep, "short_step", "too short: being called takes most of its time"},
    ReasonRow{ReasonCode::kNoProducts, "no_products", "it multiplies nothing: reading and writing takes its time"},
    ReasonRow{ReasonCode::kFewProducts, "few_products", "few products for each element"},
    ReasonRow{ReasonCode::kSlowKernel, "slow_kernel", "the integer kernel gains nothing here"},
};

}  // namespace

std::string_view reason_code_name(ReasonCode code) {
  return std::find_if(kReasons.begin(), kReasons.end(), [&](const ReasonRow& r) { return r.code == code; })->name;
}

std::string_view reason_sentence(ReasonCode code) {
  return std::find_if(kReasons.begin(), kReasons.end(), [&](const ReasonRow& r) { return r.code == code; })->sentence;
}

std::string Reason::text() const {
  std::string result(reason_sentence(code));
  if (!detail.empty()) result += ": " + detail;
  return result;
}

ReasonCode reason_code_from_name(std::string_view name) {
  const auto found = std::find_if(kReasons.begin(), kReasons.end(), [&](const ReasonRow& r) { return r.name == name; });
  if (found == kReasons.end()) throw Error(ErrorKind::kUsage, "unknown reason '{}'", name);
  return found->code;
}

}  // namespace narrow
