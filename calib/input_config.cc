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

std::optional<int64_t> read_count(JsonObject& object, const std::string& key) {
  if (object.has(key)) return positive(object, key, object.get<int64_t>(key));
  object.get_or<int64_t>(key, 0);
  return std::nullopt;
}

/// One side, or [height, width].
std::optional<std::vector<int64_t>> read_sides(JsonObject& object, const std::string& key) {
  if (!object.has(key) || object.raw(key).is_number()) {
    const auto side = read_count(object, key);
    return side ? std::optional(std::vector{*side}) : std::nullopt;
  }
  const auto sides = object.get<std::vector<int64_t>>(key);
  if (sides.size() != 2) object.fail(key, "expected one side or [height, width]");
  for (const int64_t side : sides) positive(object, key, side);
  return sides;
}

std::optional<int64_t> read_letterbox(JsonObject& object, const InputOptions& options) {
  constexpr int64_t kWhite = 255;
  if (!object.has("letterbox")) {
    object.get_or<int64_t>("letterbox", 0);
    return std::nullopt;
  }
  const auto grey = object.get<int64_t>("letterbox");
  if (grey < 0 || grey > kWhite) object.fail("letterbox", fmt::format("is not a grey from 0 to {}", kWhite));
  if (!options.resize || options.resize->size() != 2) object.fail("letterbox", "needs 'resize': [height, width]");
  return grey;
}

InputOptions read_options(JsonObject object) {
  InputOptions options;
  options.resize = read_sides(object, "resize");
  options.letterbox = read_letterbox(object, options);
  options.multiple = read_count(object, "multiple");
  options.crop = read_sides(object, "crop");
  if (options.crop && options.crop->size() == 1) options.crop->push_back(options.crop->front());
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
  if (object.has("shape")) {
    options.shape = object.get<std::vector<int64_t>>("shape");
    if (options.from_output.empty()) object.fail("shape", "is that of a first state: it needs 'from_output'");
    const bool negative = std::any_of(options.shape->begin(), options.shape->end(), [](int64_t n) { return n < 0; });
    if (negative) object.fail("shape", "has a negative dimension");
  } else {
    object.get_or<std::vector<int64_t>>("shape", {});
  }
  object.finish();
  return options;
}

Json to_json(const InputOptions& options) {
  Json json = Json::object();
  if (options.resize && options.resize->size() == 1) json["resize"] = options.resize->front();
  if (options.resize && options.resize->size() == 2) json["resize"] = *options.resize;
  if (options.letterbox) json["letterbox"] = *options.letterbox;
  if (options.multiple) json["multiple"] = *options.multiple;
  if (options.crop) json["crop"] = *options.crop;
  if (!options.color.empty()) json["color"] = options.color;
  if (!options.layout.empty()) json["layout"] = options.layout;
  if (options.scale != 1) json["scale"] = options.scale;
  if (!options.mean.empty()) json["mean"] = options.mean;
  if (!options.std.empty()) json["std"] = options.std;
  if (!options.from_output.empty()) json["from_output"] = options.from_output;
  if (options.shape) json["shape"] = *options.shape;
  return json;
}

}  // namespace

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
