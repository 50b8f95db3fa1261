// What a search has found out so far, as a file: the sensitivity table and the trials. A run that reads it goes on
// where the file ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/json.h"
#include "lib/plan/recovery.h"
#include "lib/tune/search.h"
#include "lib/tune/sensitivity.h"

namespace narrow::tune {

struct Trail {
  std::string model_sha256;
  std::string data_sha256;
  Json options = Json::object();                // what else the numbers depend on
  std::vector<std::string> nodes;               // the items, in the order of Trial::choices
  std::optional<plan::RecoverySteps> recovery;  // absent: not chosen yet
  int64_t held = plan::kHeldFirst;              // the quarter of the calibration samples that judged these steps
  std::optional<double> float_seconds;          // of one run of the float model, when the trials' seconds were measured
  Sensitivity sensitivity;                      // of components
  Sensitivity groups;                           // of layers and groups of them,
  int64_t group_samples = 0;                    // over so many calibration samples
  std::vector<Trial> trials;
};

Json to_json(const Trail& trail);
/// Throws Error(kUsage) with the path of what is wrong.
Trail trail_from_json(const Json& json);
/// Throws Error(kUsage) naming what differs, if the trail was made from something else than `now`.
void check_trail(const Trail& trail, const Trail& now);

}  // namespace narrow::tune
