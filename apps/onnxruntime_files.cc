#include "apps/onnxruntime_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "lib/base/file.h"
#include "lib/quant/quant_type.h"

namespace narrow::apps {
namespace {

std::string trimmed(std::string line) {
  line.erase(std::min(line.find('#'), line.size()));
  const size_t first = line.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

/// A number, one in an array, as numpy's arrays become, or in a string, as they do where nobody says how.
double read_number(JsonObject& object, const std::string& key) {
  const Json* value = &object.raw(key);
  if (value->is_object() && value->contains("data")) value = &value->at("data");
  while (value->is_array() && value->size() == 1) value = &value->front();
  double number = NAN;
  if (value->is_number()) {
    number = value->get<double>();
  } else if (value->is_string()) {
    std::string text = value->get<std::string>();
    std::erase_if(text, [](char c) { return c == '[' || c == ']' || c == ' '; });
    const char* end = text.data() + text.size();
    if (std::from_chars(text.data(), end, number).ptr != end) number = NAN;
  }
  if (!std::isfinite(static_cast<float>(number))) object.fail(key, "expected one number");
  return number;
}

/// "QuantType.QInt8", "QInt8" or "qint8" as "int8".
std::string read_type(JsonObject& object, const std::string& key) {
  std::string name = object.get<std::string>(key);
  if (const size_t dot = name.rfind('.'); dot != std::string::npos) name.erase(0, dot + 1);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name.starts_with("q")) name.erase(0, 1);
  object.checked(key, [&] { quant::quant_type_from_name(name); });
  return name;
}

TensorOverride read_override(JsonObject object) {
  TensorOverride result;
  if (object.has("convert")) {
    object.fail("convert",
                "has no equivalent: a value has one type; set it for the nodes that make and read the value");
  }
  if (object.has("quant_type")) result.type = read_type(object, "quant_type");
  if (object.has("symmetric")) result.symmetric = object.get<bool>("symmetric");
  if (object.has("reduce_range")) result.reduce_range = object.get<bool>("reduce_range");
  if (object.has("axis")) result.axis = object.get<int64_t>("axis");
  const auto number = [&](const char* key) -> std::optional<double> {
    return object.has(key) ? std::optional(read_number(object, key)) : std::nullopt;
  };
  result.rmin = number("rmin");
  result.rmax = number("rmax");
  result.scale = number("scale");
  if (const auto zero_point = number("zero_point")) result.zero_point = std::llround(*zero_point);
  if (result.rmin.has_value() != result.rmax.has_value()) object.fail("", "needs both rmin and rmax, or neither");
  if (result.scale.has_value() != result.zero_point.has_value()) {
    object.fail("", "needs both scale and zero_point, or neither");
  }
  object.allow({"quant_type", "symmetric", "reduce_range", "axis", "rmin", "rmax", "scale", "zero_point", "convert"});
  object.finish();
  return result;
}

quant::Range read_range(JsonObject object) {
  const auto rmin = static_cast<float>(read_number(object, "lowest"));
  const auto rmax = static_cast<float>(read_number(object, "highest"));
  if (rmin > rmax) object.fail("lowest", "is above highest");
  return {std::min(rmin, 0.0F), std::max(rmax, 0.0F)};  // a range contains 0, there as here
}

}  // namespace

std::vector<std::string> read_node_list(const std::string& path) {
  const std::string text = read_text(path);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[') {
    return read_json_as(path, [](const Json& json) {
      const Json list{{"nodes", json}};
      return JsonObject(list, "").get<std::vector<std::string>>("nodes");
    });
  }
  std::vector<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line = trimmed(line); !line.empty()) names.push_back(line);
  }
  return names;
}

TensorRanges read_tensor_ranges(const Json& json) {
  TensorRanges result;
  JsonObject document(json, "");
  const bool cache = document.has("CLS");
  if (cache && document.has("calibration_method")) {
    const Json& method = document.raw("calibration_method");
    const std::string text = method.is_object() ? method.value("value", "") : method.dump();
    result.method = text.substr(text.rfind('.') + 1);
  }
  JsonObject tensors = cache ? document.object("data") : JsonObject(json, "");
  for (const std::string& name : tensors.keys()) {
    const Json& value = tensors.raw(name);
    if (value.is_array()) {  // as older versions wrote them
      const Json pair{{"lowest", value.size() == 2 ? value[0] : Json()},
                      {"highest", value.size() == 2 ? value[1] : Json()}};
      result.ranges[name] = read_range(JsonObject(pair, tensors.path_of(name)));
    } else {
      result.ranges[name] = read_range(tensors.object(name));
    }
  }
  return result;
}

std::map<std::string, TensorOverride> read_tensor_overrides(const Json& json) {
  std::map<std::string, TensorOverride> overrides;
  JsonObject document(json, "");
  for (const std::string& name : document.keys()) {
    std::vector<JsonObject> channels = document.objects(name);
    if (channels.empty()) document.fail(name, "needs at least one object");
    for (size_t i = 0; i < channels.size(); ++i) {
      TensorOverride one = read_override(channels[i]);
      const bool numbers = one.rmin || one.scale;
      if (numbers && (channels.size() > 1 || one.axis)) {
        channels[i].fail("", "ranges and scales of single channels have no equivalent; edit the plan's scales instead");
      }
      if (i == 0) overrides[name] = one;
    }
  }
  return overrides;
}

}  // namespace narrow::apps
