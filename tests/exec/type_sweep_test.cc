// Runs ONNX's own node tests again with their float32 inputs and outputs in other element types that the operator's
// schema allows, where NARROW_ONNX_TESTS names the tests' folder (which has a folder "node").
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/exec/kernels/cast.h"
#include "lib/graph/attributes.h"
#include "lib/graph/onnx_api.h"

namespace narrow::exec {
namespace {

namespace fs = std::filesystem;

template <class Message>
bool parse_file(const fs::path& path, Message& message) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  return !text.empty() && message.ParseFromString(text);
}

std::string schema_name(DataType type) {
  const std::string_view name = data_type_name(type);
  return fmt::format("tensor({})", name == "float64" ? "double" : name);
}

// Relative to the largest value: results of half precision lose digits where sums cancel.
float tolerance(DataType type) {
  return type == DataType::kFloat64 ? 1e-3F : type == DataType::kFloat16 ? 0.01F : 0.06F;
}

const onnx::OpSchema* schema_of(const onnx::ModelProto& model) {
  const onnx::NodeProto& node = model.graph().node(0);
  for (const auto& import : model.opset_import()) {
    if (import.domain() != node.domain()) continue;
    return onnx::OpSchemaRegistry::Schema(node.op_type(), static_cast<int>(import.version()), node.domain());
  }
  return nullptr;
}

// A model of one node whose type is that of its inputs, not of an attribute.
bool is_candidate(const onnx::ModelProto& model) {
  const onnx::GraphProto& graph = model.graph();
  if (graph.node_size() != 1 || graph.initializer_size() != 0) return false;
  const onnx::NodeProto& node = graph.node(0);
  // Bodies, of the node or its function, have types of their own; so has what holds a tensor in an optional.
  if (!has_kernel(node.domain(), node.op_type()) || node.op_type().starts_with("Optional")) return false;
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g()) return false;
  }
  const onnx::OpSchema* schema = schema_of(model);
  if (schema == nullptr || schema->inputs().empty() || schema->outputs().empty()) return false;
  const auto& attributes = schema->attributes();
  if (attributes.contains("dtype") || attributes.contains("to") || attributes.contains("output_dtype")) return false;
  const auto is_tensor = [](const onnx::ValueInfoProto& value) { return value.type().has_tensor_type(); };
  return std::all_of(graph.input().begin(), graph.input().end(), is_tensor) &&
         std::all_of(graph.output().begin(), graph.output().end(), is_tensor);
}

// Gives float32 inputs another type where the schema allows it, and the outputs of the same type variable too.
bool retype(onnx::ModelProto& model, DataType type) {
  const onnx::OpSchema* schema = schema_of(model);
  std::set<std::string> variables;
  const auto replace = [&](auto* values, const auto& names, const auto& formals, bool is_input) {
    for (auto& value : *values) {
      const auto at = static_cast<size_t>(std::find(names.begin(), names.end(), value.name()) - names.begin());
      const auto& formal = formals[std::min(at, formals.size() - 1)];
      auto& tensor = *value.mutable_type()->mutable_tensor_type();
      const auto& types = formal.GetTypes();
      const std::string wanted = schema_name(type);
      if (tensor.elem_type() != 1) continue;
      if (std::none_of(types.begin(), types.end(), [&](const std::string* t) { return *t == wanted; })) continue;
      if (!is_input && !variables.contains(formal.GetTypeStr())) continue;
      tensor.set_elem_type(static_cast<int>(type));
      if (is_input) variables.insert(formal.GetTypeStr());
    }
  };
  onnx::GraphProto& graph = *model.mutable_graph();
  replace(graph.mutable_input(), graph.node(0).input(), schema->inputs(), true);
  replace(graph.mutable_output(), graph.node(0).output(), schema->outputs(), false);
  return !variables.empty();
}

Tensor read(const fs::path& path, const onnx::ValueInfoProto& info, Workspace& workspace) {
  onnx::TensorProto proto;
  if (!parse_file(path, proto)) throw Error(ErrorKind::kUnsupported, "no tensor");
  const Tensor tensor = graph::embedded_tensor(proto);
  const auto type = static_cast<DataType>(info.type().tensor_type().elem_type());
  return tensor.type() == DataType::kFloat32 ? cast_tensor(tensor, type, workspace) : tensor;
}

std::string difference(const Tensor& actual, const Tensor& expected, DataType type) {
  if (actual.type() != expected.type() || actual.shape() != expected.shape()) {
    return fmt::format("{} {} instead of {} {}", data_type_name(actual.type()), shape_text(actual.shape()),
                       data_type_name(expected.type()), shape_text(expected.shape()));
  }
  if (actual.type() == DataType::kString) return actual.strings() == expected.strings() ? "" : "other strings";
  const Tensor left = to_float32(actual);
  const Tensor right = to_float32(expected);
  float largest = 1e-3F;
  for (const float value : right.data<float>()) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  for (size_t i = 0; i < right.data<float>().size(); ++i) {
    const float a = left.data<float>()[i];
    const float e = right.data<float>()[i];
    const bool same = a == e || (std::isnan(a) && std::isnan(e));
    if (!same && !(std::abs(a - e) <= tolerance(type) * largest)) return fmt::format("{} instead of {} at {}", a, e, i);
  }
  return "";
}

enum class Parameters { kInputs, kConstants };  // kConstants: all inputs but the first are initializers

struct Loaded {
  onnx::ModelProto model;
  Feed feed;
};

Loaded load_case(const fs::path& folder, onnx::ModelProto model, Parameters parameters, Workspace& workspace) {
  Loaded result;
  for (int i = 0; i < model.graph().input_size(); ++i) {
    const auto& input = model.graph().input(i);
    const Tensor tensor = read(folder / ("input_" + std::to_string(i) + ".pb"), input, workspace);
    if (i == 0 || parameters == Parameters::kInputs) {
      result.feed[input.name()] = tensor;
    } else {
      *model.mutable_graph()->add_initializer() = graph::tensor_proto(input.name(), tensor);
    }
  }
  result.model = std::move(model);
  return result;
}

// Empty if the results are right, otherwise what is wrong; "-" if the test does not apply.
std::string run_case(const fs::path& folder, DataType type, Parameters parameters) {
  onnx::ModelProto proto;
  if (!parse_file(folder / "model.onnx", proto) || !is_candidate(proto) || !retype(proto, type)) return "-";
  const fs::path data = folder / "test_data_set_0";
  try {
    Workspace workspace;
    Loaded loaded = load_case(data, std::move(proto), parameters, workspace);
    const graph::Model model(std::move(loaded.model));
    const std::vector<Tensor> results = compile_float(model).run(loaded.feed, workspace);
    for (int i = 0; i < model.graph().output_size(); ++i) {
      const Tensor expected = read(data / ("output_" + std::to_string(i) + ".pb"), model.graph().output(i), workspace);
      const std::string wrong = difference(results[static_cast<size_t>(i)], expected, type);
      if (!wrong.empty()) return wrong;
    }
  } catch (const Error& error) {
    // What has no kernel in float32 either is no matter of types.
    const std::string text = error.what();
    return error.kind() == ErrorKind::kUnsupported && text.find("of type") == std::string::npos ? "-" : text;
  }
  return "";
}

// Steep functions, differences of large numbers, sets kept as bits of floats: rounding the inputs to fewer digits gives
// other results. The two of Resize are wrong in float32 too (see backend_test.cc).
const std::set<std::string> kSensitive{"test_ai_onnx_ml_tree_ensemble_set_membership",

                                       "test_logsoftmax_large_number",
                                       "test_resize_downsample_scales_cubic_align_corners",
                                       "test_resize_downsample_scales_linear_align_corners",
                                       "test_softmax_large_number",
                                       "test_tan"};

struct Sweep {
  int passed = 0;
  std::vector<std::string> wrong;
};

Sweep sweep(const fs::path& root, DataType type, const std::vector<Parameters>& variants) {
  Sweep result;
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename();
    if (kSensitive.contains(name)) continue;
    for (const Parameters parameters : variants) {
      const std::string wrong = run_case(entry.path(), type, parameters);
      if (wrong.empty()) ++result.passed;
      if (wrong.empty() || wrong == "-") continue;
      result.wrong.push_back(name + (parameters == Parameters::kInputs ? ": " : " with constants: ") + wrong);
    }
  }
  return result;
}

class TypeSweep : public testing::TestWithParam<DataType> {
 protected:
  void SetUp() override {
    if (!fs::exists(root_)) GTEST_SKIP() << "NARROW_ONNX_TESTS is not set to ONNX's backend/test/data";
  }
  const char* variable_ = std::getenv("NARROW_ONNX_TESTS");
  const fs::path root_ = variable_ == nullptr ? fs::path() : fs::path(variable_) / "node";
};

std::string type_of_case(const testing::TestParamInfo<DataType>& info) {
  return std::string(data_type_name(info.param));
}

class FloatSweep : public TypeSweep {};

TEST_P(FloatSweep, ResultsHoldInOtherFloats) {
  const Sweep result = sweep(root_, GetParam(), {Parameters::kInputs, Parameters::kConstants});
  EXPECT_EQ(result.wrong, std::vector<std::string>());
  EXPECT_GT(result.passed, 1100);
}

INSTANTIATE_TEST_SUITE_P(Types, FloatSweep,
                         testing::Values(DataType::kFloat16, DataType::kBfloat16, DataType::kFloat64), type_of_case);

// Sums and interpolations, whose schemas allow strings and truth values all the same.
bool has_no_meaning(DataType type, const std::string& message) {
  const auto is_of = [&](std::string_view op) { return message.find(op) != std::string::npos; };
  const bool no_number = type == DataType::kString || type == DataType::kBool;
  if (is_of("(Col2Im)") || is_of("(GridSample)")) return no_number;
  return type == DataType::kString && (is_of("(Resize)") || is_of("(Scatter"));
}

// Integers and the rest give other numbers, of course; but every operator takes every type that its schema allows.
class OtherSweep : public TypeSweep {};

TEST_P(OtherSweep, NoTypeIsRefused) {
  const Sweep result = sweep(root_, GetParam(), {Parameters::kInputs});
  for (const std::string& wrong : result.wrong) {
    if (has_no_meaning(GetParam(), wrong)) continue;
    EXPECT_EQ(wrong.find("no kernel for elements"), std::string::npos) << wrong;
    EXPECT_EQ(wrong.find(" read as "), std::string::npos) << wrong;
  }
  EXPECT_GT(result.passed, 60);
}

// One of each kind, to keep the time short.
INSTANTIATE_TEST_SUITE_P(Types, OtherSweep,
                         testing::Values(DataType::kInt16, DataType::kUint8, DataType::kUint64, DataType::kBool,
                                         DataType::kString, DataType::kFloat8e4m3fn, DataType::kInt4),
                         type_of_case);

}  // namespace
}  // namespace narrow::exec
