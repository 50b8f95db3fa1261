#include <fmt/format.h>

#include <set>

#include "lib/plan/plan.h"
#include "lib/quant/codebook.h"

namespace narrow::plan {
namespace {

constexpr std::string_view kFormat = "narrow-plan";
constexpr int kVersion = 1;

Json floats_json(const std::vector<float>& values) {
  Json json = Json::array();
  for (const float value : values) json.push_back(json_float(value));
  return json;
}

Json value_json(const ValuePlan& value) {
  Json json;
  json["value"] = value.value;
  json["type"] = quant::name(value.params.type);
  json["scale"] = json_float(value.params.scales[0]);
  json["zero_point"] = value.params.zero_points[0];
  json["rmin"] = json_float(value.range.rmin);
  json["rmax"] = json_float(value.range.rmax);
  json["calibrator"] = value.calibrator;
  return json;
}

Granularity granularity_of(const quant::QuantParams& params) {
  if (params.block > 0) return Granularity::kPerBlock;
  return params.axis ? Granularity::kPerChannel : Granularity::kPerTensor;
}

Json codebooks_json(const quant::Codebooks& books) {
  Json json;
  json["entries"] = books.entries;
  if (books.axis) {
    json["axis"] = *books.axis;
    json["channels"] = books.channels;
  }
  json["values"] = floats_json(books.values);
  return json;
}

void add_sum_axes(const SumAxes& sum_axes, Json& json) {
  if (sum_axes.empty()) return;
  json["rounding"] = rounding_name(Rounding::kSquant);
  json["sum_axes"] = sum_axes;
}

Json half_weight_json(const HalfWeightPlan& weight) {
  Json json{{"input", weight.input}, {"initializer", weight.initializer}};
  add_sum_axes(weight.sum_axes, json);
  return json;
}

Json weight_json(const WeightPlan& weight) {
  Json json;
  json["input"] = weight.input;
  json["initializer"] = weight.initializer;
  json["type"] = quant::name(weight.params.type);
  json["granularity"] = granularity_name(granularity_of(weight.params));
  if (weight.params.axis) json["axis"] = *weight.params.axis;
  if (weight.params.block > 0) json["block"] = weight.params.block;
  json["scales"] = floats_json(weight.params.scales);
  const auto& zero_points = weight.params.zero_points;
  // Blocks are many: equal zero points stand there once.
  const bool once = weight.params.block > 0 && std::set(zero_points.begin(), zero_points.end()).size() == 1;
  json["zero_points"] = once ? std::vector<int32_t>{zero_points[0]} : zero_points;
  if (weight.params.codebooks) json["codebooks"] = codebooks_json(*weight.params.codebooks);
  if (weight.params.noise) {
    json["rounding"] = rounding_name(Rounding::kStochastic);
    json["seed"] = weight.params.noise->seed();
  }
  add_sum_axes(weight.params.sum_axes, json);
  if (weight.enlarged_channels > 0) json["enlarged_channels"] = weight.enlarged_channels;
  if (weight.operators != Operators::kStandard) json["operators"] = operators_name(weight.operators);
  return json;
}

bool stores_weight_alone(const LayerPlan& layer) {
  return layer.decision == Decision::kWeightOnly || layer.decision == Decision::kDynamic;
}

Json layer_json(const LayerPlan& layer) {
  Json json;
  json["node"] = layer.node;
  json["op"] = layer.op_type;
  json["decision"] = decision_name(layer.decision);
  json["rule"] = layer.rule;
  if (layer.reason) {
    json["reason"] = {{"code", reason_code_name(layer.reason->code)}, {"text", layer.reason->text()}};
    if (!layer.reason->detail.empty()) json["reason"]["detail"] = layer.reason->detail;
  }
  if (!layer.adapted.empty()) json["adapted"] = layer.adapted;
  if (layer.recovery != all_recovery_methods()) json["recovery"] = to_json(layer.recovery);
  if (stores_weight_alone(layer)) json["weights"] = weight_json(*layer.weight);
  for (const WeightPlan& weight : layer.more_weights) json["more_weights"].push_back(weight_json(weight));
  if (layer.half_weight) json["weights"] = half_weight_json(*layer.half_weight);
  if (layer.decision != Decision::kQuantize) return json;
  json["activations"] = layer.activations;
  json["outputs"] = layer.outputs;
  if (layer.weight) json["weights"] = weight_json(*layer.weight);
  if (layer.bias_input) json["bias_input"] = *layer.bias_input;
  return json;
}

float read_scale(const JsonObject& object, std::string_view key, const Json& value) {
  const float scale = value.is_number() ? value.get<float>() : 0;
  if (!(scale > 0) || !std::isfinite(scale)) object.fail(key, "expected a positive number");
  return scale;
}

void check_zero_point(const JsonObject& object, std::string_view key, quant::QuantType type, int64_t zero_point) {
  const quant::QuantTypeRow& limits = quant::row(type);
  if (zero_point < limits.qmin || zero_point > limits.qmax) {
    object.fail(key, fmt::format("{} is outside {}", zero_point, limits.name));
  }
}

quant::QuantType read_quant_type(JsonObject& object) {
  const auto name = object.get<std::string>("type");
  return object.checked("type", [&] { return quant::quant_type_from_name(name); });
}

ValuePlan read_value(JsonObject& object) {
  ValuePlan value;
  value.value = object.get<std::string>("value");
  value.params.type = read_quant_type(object);
  value.params.scales = {read_scale(object, "scale", object.raw("scale"))};
  const auto zero_point = object.get<int64_t>("zero_point");
  check_zero_point(object, "zero_point", value.params.type, zero_point);
  value.params.zero_points = {static_cast<int32_t>(zero_point)};
  value.range = {object.get<float>("rmin"), object.get<float>("rmax")};
  value.calibrator = object.get<std::string>("calibrator");
  object.finish();
  return value;
}

quant::Codebooks read_codebooks(JsonObject object) {
  quant::Codebooks books{.entries = object.get<int64_t>("entries")};
  if (object.has("axis")) {
    books.axis = object.get<int64_t>("axis");
    books.channels = object.get<int64_t>("channels");
    if (books.channels < 1) object.fail("channels", "must be at least 1");
  }
  if (books.entries < quant::kFewestEntries || books.entries > quant::kMostEntries) {
    object.fail("entries", fmt::format("must be from {} to {}", quant::kFewestEntries, quant::kMostEntries));
  }
  books.values = object.get<std::vector<float>>("values");
  object.allow({"axis", "channels"});
  object.finish();
  return books;
}

HalfWeightPlan read_half_weight(JsonObject object) {
  HalfWeightPlan weight{
      .input = object.get<int>("input"), .initializer = object.get<std::string>("initializer"), .sum_axes = {}};
  const std::string rounding = object.get<std::string>("rounding");
  if (rounding != rounding_name(Rounding::kSquant)) {
    object.fail("rounding", fmt::format("'{}' is not squant", rounding));
  }
  weight.sum_axes = object.get<SumAxes>("sum_axes");
  object.finish();
  return weight;
}

void read_rounding(JsonObject& object, WeightPlan& weight) {
  const std::string rounding = object.get_or<std::string>("rounding", std::string(rounding_name(Rounding::kHalfEven)));
  if (rounding == rounding_name(Rounding::kStochastic)) {
    const auto seed = object.get<int64_t>("seed");
    if (seed < 0) object.fail("seed", "must be at least 0");
    weight.params.noise = quant::RoundingNoise(static_cast<uint64_t>(seed), weight.initializer);
  } else if (rounding == rounding_name(Rounding::kSquant)) {
    weight.params.sum_axes = object.get<SumAxes>("sum_axes");
  } else if (rounding != rounding_name(Rounding::kHalfEven)) {
    object.fail("rounding", fmt::format("'{}' is none of half_even, stochastic, squant", rounding));
  }
}

WeightPlan read_weight(JsonObject object) {
  WeightPlan weight;
  weight.input = object.get<int>("input");
  weight.initializer = object.get<std::string>("initializer");
  weight.params.type = read_quant_type(object);
  const std::string granularity = object.get<std::string>("granularity");
  if (granularity == granularity_name(Granularity::kPerBlock)) {
    weight.params.block = object.get<int64_t>("block");
    if (weight.params.block < 1) object.fail("block", "must be at least 1");
  } else if (granularity != granularity_name(Granularity::kPerTensor) &&
             granularity != granularity_name(Granularity::kPerChannel)) {
    object.fail("granularity", fmt::format("'{}' is none of per_tensor, per_channel, per_block", granularity));
  }
  if (granularity != granularity_name(Granularity::kPerTensor)) weight.params.axis = object.get<int64_t>("axis");
  if (!object.raw("scales").is_array()) object.fail("scales", "expected an array");
  for (const Json& scale : object.raw("scales")) weight.params.scales.push_back(read_scale(object, "scales", scale));
  for (const int64_t zero_point : object.get<std::vector<int64_t>>("zero_points")) {
    check_zero_point(object, "zero_points", weight.params.type, zero_point);
    weight.params.zero_points.push_back(static_cast<int32_t>(zero_point));
  }
  if (weight.params.block > 0 && weight.params.zero_points.size() == 1) {
    weight.params.zero_points.assign(weight.params.scales.size(), weight.params.zero_points[0]);
  }
  if (object.has("codebooks")) weight.params.codebooks = read_codebooks(object.object("codebooks"));
  read_rounding(object, weight);
  object.allow({"codebooks", "seed", "sum_axes"});
  weight.enlarged_channels = object.get_or<int64_t>("enlarged_channels", 0);
  const auto operators = object.get_or<std::string>("operators", std::string(operators_name(Operators::kStandard)));
  if (operators == operators_name(Operators::kMicrosoft)) {
    weight.operators = Operators::kMicrosoft;
  } else if (operators != operators_name(Operators::kStandard)) {
    object.fail("operators", fmt::format("'{}' is none of standard, com.microsoft", operators));
  }
  object.finish();
  return weight;
}

Reason read_reason(JsonObject object) {
  const auto code = object.get<std::string>("code");
  Reason reason{object.checked("code", [&] { return reason_code_from_name(code); }),
                object.get_or<std::string>("detail", "")};
  object.get_or<std::string>("text", "");
  object.finish();
  return reason;
}

Decision read_decision(JsonObject& object) {
  const std::string name = object.get<std::string>("decision");
  for (const Decision decision : {Decision::kQuantize, Decision::kDynamic, Decision::kFold, Decision::kWeightOnly,
                                  Decision::kFloat16, Decision::kBfloat16, Decision::kFloat}) {
    if (decision_name(decision) == name) return decision;
  }
  object.fail("decision",
              fmt::format("'{}' is none of quantize, dynamic, fold, weight_only, float16, bfloat16, float32", name));
}

Json prepared_json(const std::vector<PreparedNodes>& prepared) {
  Json json = Json::array();
  for (const PreparedNodes& group : prepared) {
    json.push_back({{"decision", fate_name(group.fate)}, {"reason", fate_text(group.fate)}, {"nodes", group.nodes}});
  }
  return json;
}

PreparedNodes read_prepared(JsonObject& object) {
  PreparedNodes group{.nodes = object.get<std::vector<std::string>>("nodes")};
  const auto name = object.get<std::string>("decision");
  bool known = false;
  for (const Fate fate : {Fate::kComputedOnce, Fate::kFolded, Fate::kReplaced}) {
    if (fate_name(fate) != name) continue;
    group.fate = fate;
    known = true;
  }
  if (!known) object.fail("decision", fmt::format("'{}' is none of computed_once, fold_into_weights, replace", name));
  object.get_or<std::string>("reason", "");
  object.finish();
  return group;
}

Json form_json(const FileForm& form) {
  return {{"format", file_format_name(form.format)},
          {"microsoft_operators", form.microsoft},
          {"pair_per_reader", form.pair_per_reader},
          {"biases_apart", form.biases_apart},
          {"integer_io", form.integer_io}};
}

FileForm read_form(JsonObject object) {
  FileForm form;
  const std::string format = object.get<std::string>("format");
  if (format != file_format_name(FileFormat::kQdq) && format != file_format_name(FileFormat::kQoperator)) {
    object.fail("format", fmt::format("'{}' is none of qdq, qoperator", format));
  }
  if (format == file_format_name(FileFormat::kQoperator)) form.format = FileFormat::kQoperator;
  form.microsoft = object.get_or<bool>("microsoft_operators", form.microsoft);
  form.pair_per_reader = object.get_or<bool>("pair_per_reader", form.pair_per_reader);
  form.biases_apart = object.get_or<bool>("biases_apart", form.biases_apart);
  if (object.has("integer_io")) form.integer_io = object.get<std::vector<std::string>>("integer_io");
  object.finish();
  return form;
}

LayerPlan read_layer(JsonObject& object) {
  LayerPlan layer;
  layer.node = object.get<std::string>("node");
  layer.op_type = object.get<std::string>("op");
  layer.decision = read_decision(object);
  layer.rule = object.get<std::string>("rule");
  if (object.has("reason")) layer.reason = read_reason(object.object("reason"));
  if (object.has("adapted")) layer.adapted = object.get<std::vector<std::string>>("adapted");
  if (object.has("recovery")) layer.recovery = read_recovery_methods(object, "recovery");
  if (stores_weight_alone(layer)) layer.weight = read_weight(object.object("weights"));
  if (layer.decision == Decision::kWeightOnly && object.has("more_weights")) {
    for (JsonObject& weight : object.objects("more_weights")) layer.more_weights.push_back(read_weight(weight));
  }
  // A decision may be edited without the lines that told how the one before was carried out.
  if (half_type(layer.decision) && object.has("weights") && !object.raw("weights").contains("type")) {
    layer.half_weight = read_half_weight(object.object("weights"));
  }
  if (layer.decision == Decision::kQuantize) {
    layer.activations = object.get<std::vector<std::string>>("activations");
    layer.outputs = object.get<std::vector<std::string>>("outputs");
    if (object.has("weights")) layer.weight = read_weight(object.object("weights"));
    if (object.has("bias_input")) layer.bias_input = object.get<int>("bias_input");
  }
  object.allow({"reason", "adapted", "recovery", "weights", "more_weights", "bias_input", "activations", "outputs"});
  object.finish();
  return layer;
}

}  // namespace

Json to_json(const PrecisionPlan& plan) {
  Json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["model_sha256"] = plan.model_sha256;
  if (plan.form != FileForm{}) json["form"] = form_json(plan.form);
  if (plan.recovery) json["recovery"] = to_json(*plan.recovery);
  if (!plan.prepared.empty()) json["prepared"] = prepared_json(plan.prepared);
  json["layers"] = Json::array();
  for (const LayerPlan& layer : plan.layers) json["layers"].push_back(layer_json(layer));
  json["values"] = Json::array();
  for (const ValuePlan& value : plan.values) json["values"].push_back(value_json(value));
  return json;
}

PrecisionPlan plan_from_json(const Json& json) {
  JsonObject object(json, "");
  object.expect_format(kFormat, kVersion);
  PrecisionPlan plan;
  plan.model_sha256 = object.get<std::string>("model_sha256");
  if (object.has("form")) plan.form = read_form(object.object("form"));
  if (object.has("recovery")) plan.recovery = read_recovery_record(object.object("recovery"));
  if (object.has("prepared")) {
    for (JsonObject& group : object.objects("prepared")) plan.prepared.push_back(read_prepared(group));
  }
  for (JsonObject& layer : object.objects("layers")) plan.layers.push_back(read_layer(layer));
  for (JsonObject& value : object.objects("values")) plan.values.push_back(read_value(value));
  object.allow({"form", "recovery", "prepared"});
  object.finish();
  return plan;
}

}  // namespace narrow::plan
