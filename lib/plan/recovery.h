// What was done to a model's constants before it was quantized, so that a plan fed back repeats it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/json.h"

namespace narrow::plan {

enum class RecoveryMethod {
  kEqualize,  // activations' channels brought to one range, the weights on both sides take the factors
  kSmooth,    // channels of what products read divided by factors, which their weights take
  kAlign,     // inputs whose values lie on a grid brought onto the integers' grid, where 8 bits hold them exactly
  kAbsorb,    // what a channel never falls below, or its middle, goes into the biases on both sides
  kRanges,    // inputs whose values lie on ties get ranges where they do not
  kRound,     // weights rounded by the layers' output error, biases corrected, layer after layer
};

std::string_view recovery_method_name(RecoveryMethod method);

/// In the order in which steps may stand.
bool stands_before(RecoveryMethod a, RecoveryMethod b);

using RecoveryMethods = std::vector<RecoveryMethod>;

/// What may change a layer unless a rule says otherwise.
const RecoveryMethods& all_recovery_methods();
/// "auto", "none", or names.
Json to_json(const RecoveryMethods& methods);
/// Reads the same from `key`. Throws Error(kUsage) with the path of what is wrong.
RecoveryMethods read_recovery_methods(JsonObject& object, const std::string& key);

/// Channels of a value divided by their largest magnitude to one power, times the largest magnitude of the weights
/// that read them to the other.
struct SmoothedValue {
  std::string value;
  double activation_power = 0;  // 0 to 1
  double weight_power = 0;      // 0 to 1
  bool operator==(const SmoothedValue&) const = default;
};

/// Channels of a value (second axis) times factors, plus shifts: all of them on the grid (k - zero_point) * scale,
/// k = 0 ... 255.
struct AlignedInput {
  std::string value;
  std::vector<float> factors = {};  // by channel; empty: all 1
  std::vector<float> shifts = {};   // by channel; empty: all 0
  float scale = 1;
  int32_t zero_point = 0;
  bool operator==(const AlignedInput&) const = default;
};

struct RecoveryStep {
  RecoveryMethod method = RecoveryMethod::kRound;
  double weight_noise = 1;  // kEqualize: what rounded weights count against rounded activations, 0 to 1000
  std::vector<SmoothedValue> values = {};  // kSmooth; empty: as a search finds them
  std::vector<AlignedInput> inputs = {};   // kAlign; empty: as the data shows them
  bool operator==(const RecoveryStep&) const = default;
};

using RecoverySteps = std::vector<RecoveryStep>;

/// "equalize 0.5, round"; "plain" for none.
std::string recovery_text(const RecoverySteps& steps);

Json to_json(const RecoverySteps& steps);
/// Reads the array `key`: names, or objects with "method" and "weight_noise", "values" or "inputs". Throws
/// Error(kUsage) with the path of what is wrong; a method stands at most once, "smooth" first, "round" last.
RecoverySteps read_recovery_steps(JsonObject& object, const std::string& key);

inline constexpr int64_t kHeldShare = 4;  // one sample of so many judges
inline constexpr int64_t kHeldFirst = kHeldShare / 2;

/// Steps as they were run; empty steps: none were.
struct RecoveryRecord {
  RecoverySteps steps;
  std::string data_sha256;    // of the calibration data
  int64_t samples = 0;        // of it, spread evenly; see calib::spread_samples
  int64_t held = kHeldFirst;  // of each kHeldShare samples this one judged, the others chose
};

/// "held" of an object that may have it.
int64_t read_held(JsonObject& object);

Json to_json(const RecoveryRecord& record);
RecoveryRecord read_recovery_record(JsonObject object);

}  // namespace narrow::plan
