// The config's "inputs" section.
#include <algorithm>
#include <array>
#include <cmath>

#include "calib/data_reader.h"

namespace narrow::calib {
namespace {

std::string read_word(JsonObject& object, const std::string& key, const std::vector<std::string>& words) {
  auto word = object.get_or<std::string>(key, "");
  if (word.empty() || std::find(words.begin(), words.end(), word) != words.end()) return word;
  object.fail(
      key, fmt::format("unknown value '{}'{}; known are {}", word, did_you_mean(word, words), fmt::join(words, ", ")));
}

int64_t positive(const JsonObject& object, const std::string& key, int64_t value) {
  constexpr int64_t kLargestSide = 16384;  // of an image; more is a slip, and would ask for gigabytes
  if (value < 1) object.fail(key, "is not positive");
  if (value > kLargestSide) object.fail(key, fmt::format("is above {}", kLargestSide));
  return value;
}

/// One number for all channels, or an array with one for each.
std::vector<double> read_numbers(JsonObject& object, const std::string& key) {
  std::vector<double> numbers;
  if (object.has(key) && object.raw(key).is_number()) {
    numbers.push_back(object.get<double>(key));
  } else {
    numbers = object.get_or<std::vector<double>>(key, {});
  }
  for (const double number : numbers) {
    if (!std::isfinite(static_cast<float>(number))) object.fail(key, "is not a float32");
  }
  return numbers;
}

/// A side for a square, or [height, width].
std::optional<std::vector<int64_t>> read_crop(JsonObject& object) {
  if (!object.has("crop")) {
    object.get_or<int64_t>("crop", 0);
    return std::nullopt;
  }
  std::vector<int64_t> crop;
  if (object.raw("crop").is_number()) {
    crop.assign(2, object.get<int64_t>("crop"));
  } else {
    crop = object.get<std::vector<int64_t>>("crop");
  }
  if (crop.size() != 2) object.fail("crop", "expected one side or [height, width]");
  for (const int64_t side : crop) positive(object, "crop", side);
  return crop;
}

InputOptions read_options(JsonObject object) {
  InputOptions options;
  if (object.has("resize")) {
    options.resize = positive(object, "resize", object.get<int64_t>("resize"));
  } else {
    object.get_or<int64_t>("resize", 0);
  }
  options.crop = read_crop(object);
  options.color = read_word(object, "color", {"RGB", "BGR", "GRAY"});
  options.layout = read_word(object, "layout", {"NCHW", "NHWC"});
  options.scale = object.get_or<double>("scale", 1.0);
  if (!std::isfinite(static_cast<float>(options.scale))) object.fail("scale", "is not a float32");
  options.mean = read_numbers(object, "mean");
  options.std = read_numbers(object, "std");
  if (std::any_of(options.std.begin(), options.std.end(), [](double s) { return static_cast<float>(s) == 0; })) {
    object.fail("std", "is zero");
  }
  options.from_output = object.get_or<std::string>("from_output", "");
  object.finish();
  return options;
}

Json to_json(const InputOptions& options) {
  Json json = Json::object();
  if (options.resize) json["resize"] = *options.resize;
  if (options.crop) json["crop"] = *options.crop;
  if (!options.color.empty()) json["color"] = options.color;
  if (!options.layout.empty()) json["layout"] = options.layout;
  if (options.scale != 1) json["scale"] = options.scale;
  if (!options.mean.empty()) json["mean"] = options.mean;
  if (!options.std.empty()) json["std"] = options.std;
  if (!options.from_output.empty()) json["from_output"] = options.from_output;
  return json;
}

}  // namespace

std::vector<exec::StateLink> state_links(const InputConfig& config) {
  std::vector<exec::StateLink> links;
  for (const auto& [name, options] : config) {
    if (!options.from_output.empty()) links.push_back({.input = name, .output = options.from_output});
  }
  return links;
}

InputConfig read_input_config(JsonObject& inputs) {
  InputConfig config;
  for (const std::string& name : inputs.keys()) config[name] = read_options(inputs.object(name));
  return config;
}

Json to_json(const InputConfig& config) {
  Json json = Json::object();
  for (const auto& [name, options] : config) json[name] = to_json(options);
  return json;
}

}  // namespace narrow::calib
