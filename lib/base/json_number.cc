#include "lib/base/json_number.h"

#include <cmath>
#include <limits>

#include "lib/base/error.h"

namespace narrow {

Json json_number(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json json_number(const std::optional<double>& value) {
  return value ? json_number(*value) : Json(nullptr);
}

double number_from_json(const Json& json) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (json.is_number()) return json.get<double>();
  if (json.is_null()) return std::nan("");
  if (json == "inf") return kInfinity;
  if (json == "-inf") return -kInfinity;
  throw Error(ErrorKind::kData, "{} is not a number", json.dump());
}

}  // namespace narrow
