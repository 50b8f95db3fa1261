#include "tests/exec/onnx_case.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/exec/float_program.h"
#include "lib/io/load.h"
#include "lib/io/old_opset.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <onnx/onnx-data.pb.h>
#pragma GCC diagnostic pop

namespace narrow::exec {
namespace {

namespace fs = std::filesystem;

template <class Proto>
Proto read_proto(const fs::path& path) {
  Proto proto;
  if (!proto.ParseFromString(read_text(path))) {
    throw Error(ErrorKind::kData, "{}: not readable", path.string());
  }
  return proto;
}

Tensor value_of(const onnx::SequenceProto& proto);
Tensor value_of(const onnx::OptionalProto& proto);

template <class Values>
Tensor sequence_of(const Values& values) {
  std::vector<Tensor> elements;
  for (const auto& value : values) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, onnx::TensorProto>) {
      elements.push_back(graph::embedded_tensor(value));
    } else {
      elements.push_back(value_of(value));
    }
  }
  return Tensor::of_sequence(std::move(elements));
}

Tensor value_of(const onnx::SequenceProto& proto) {
  switch (proto.elem_type()) {
    case onnx::SequenceProto::TENSOR:
      return sequence_of(proto.tensor_values());
    case onnx::SequenceProto::SEQUENCE:
      return sequence_of(proto.sequence_values());
    case onnx::SequenceProto::OPTIONAL:
      return sequence_of(proto.optional_values());
    default:
      if (proto.tensor_values_size() > 0) return sequence_of(proto.tensor_values());
      return Tensor::of_sequence({});
  }
}

Tensor value_of(const onnx::OptionalProto& proto) {
  if (proto.has_tensor_value()) return graph::embedded_tensor(proto.tensor_value());
  if (proto.has_sequence_value()) return value_of(proto.sequence_value());
  return Tensor::empty_optional();
}

Tensor read_value(const fs::path& path, const onnx::TypeProto& type) {
  if (type.has_sequence_type()) return value_of(read_proto<onnx::SequenceProto>(path));
  if (type.has_optional_type()) return value_of(read_proto<onnx::OptionalProto>(path));
  auto proto = read_proto<onnx::TensorProto>(path);
  // ONNX 1.12, which Debian has, stored the bits of bfloat16 as uint16.
  const bool bits = type.tensor_type().elem_type() == onnx::TensorProto::BFLOAT16;
  if (bits && proto.data_type() == onnx::TensorProto::UINT16) proto.set_data_type(onnx::TensorProto::BFLOAT16);
  return graph::embedded_tensor(proto);
}

/// [0, 1, 2, ...] / size: what ONNX's runner gives its light models.
Tensor dummy_input(const onnx::ValueInfoProto& input) {
  Shape shape;
  for (const auto& dimension : input.type().tensor_type().shape().dim()) {
    shape.push_back(dimension.has_dim_value() ? dimension.dim_value() : 1);
  }
  Tensor tensor(DataType::kFloat32, std::move(shape));
  const auto values = tensor.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<double>(i) / static_cast<double>(values.size()));
  }
  return tensor;
}

struct Tolerance {
  double relative;
  double absolute;
};

bool close(double actual, double expected, const Tolerance& tolerance) {
  if (std::isnan(expected)) return std::isnan(actual);
  return actual == expected ||
         std::abs(actual - expected) <= tolerance.absolute + tolerance.relative * std::abs(expected);
}

bool all_close(const Tensor& actual, const Tensor& expected, const Tolerance& tolerance) {
  if (expected.type() == DataType::kFloat64) {
    return std::equal(actual.data<double>().begin(), actual.data<double>().end(), expected.data<double>().begin(),
                      [&](double a, double e) { return close(a, e, tolerance); });
  }
  const Tensor left = to_float32(actual);
  const Tensor right = to_float32(expected);
  return std::equal(left.data<float>().begin(), left.data<float>().end(), right.data<float>().begin(),
                    [&](double a, double e) { return close(a, e, tolerance); });
}

/// "" where they agree.
std::string difference(const Tensor& actual, const Tensor& expected, const Tolerance& tolerance) {
  if (actual.type() != expected.type() || actual.shape() != expected.shape()) {
    return fmt::format("{} {}, expected {} {}", data_type_name(actual.type()), shape_text(actual.shape()),
                       data_type_name(expected.type()), shape_text(expected.shape()));
  }
  switch (expected.type()) {
    case DataType::kSequence:
      for (size_t i = 0; i < expected.sequence().size(); ++i) {
        const std::string inner = difference(actual.sequence()[i], expected.sequence()[i], tolerance);
        if (!inner.empty()) return fmt::format("element {}: {}", i, inner);
      }
      return {};
    case DataType::kEmptyOptional:
      return {};
    case DataType::kString:
      return actual.strings() == expected.strings() ? "" : "other strings";
    case DataType::kFloat16:
    case DataType::kBfloat16:
    case DataType::kFloat32:
    case DataType::kFloat64:
      return all_close(actual, expected, tolerance) ? "" : "other values";
    default:
      // Integers and floats of 8 bits and less, whose neighbours are farther apart than the tolerance.
      return std::equal(actual.bytes(), actual.bytes() + actual.byte_size(), expected.bytes()) ? "" : "other values";
  }
}

bool is_initializer(const onnx::GraphProto& graph, const std::string& name) {
  return std::any_of(graph.initializer().begin(), graph.initializer().end(),
                     [&](const onnx::TensorProto& initializer) { return initializer.name() == name; });
}

Feed read_feed(const onnx::GraphProto& graph, const OnnxCase& onnx_case, const fs::path& data) {
  Feed feed;
  int next = 0;
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (is_initializer(graph, input.name())) continue;
    const fs::path path = data / fmt::format("input_{}.pb", next++);
    feed[input.name()] = onnx_case.only_output.empty() ? read_value(path, input.type()) : dummy_input(input);
  }
  return feed;
}

/// The model with the values of all inputs but the first as initializers, which the feed then loses.
graph::Model with_constants(const graph::Model& model, Feed& feed) {
  graph::Model result = model;
  for (int i = 1; i < model.graph().input_size(); ++i) {
    const std::string& name = model.graph().input(i).name();
    const auto value = feed.find(name);
    if (value == feed.end()) continue;
    *result.mutable_graph().add_initializer() = graph::tensor_proto(name, value->second);
    feed.erase(value);
  }
  return result;
}

/// The file as it is, since the executor is to take every form of the node tests; but as loading gives it where nothing
/// else knows its operators: old ones, and Gradient.
graph::Model model_of(const fs::path& path) {
  graph::Model model(read_proto<onnx::ModelProto>(path));
  const bool is_old = model.opset() != 0 && model.opset() < io::kOldestOpset;
  const auto& nodes = model.graph().node();
  const bool derives =
      std::any_of(nodes.begin(), nodes.end(), [](const onnx::NodeProto& node) { return node.op_type() == "Gradient"; });
  return is_old || derives ? io::load_model(path) : model;
}

std::string run_data(const OnnxCase& onnx_case, const graph::Model& model, const RunAs& as, const fs::path& data) {
  Workspace workspace;
  Feed feed = read_feed(model.graph(), onnx_case, data);
  const graph::Model own = as.only_first_input ? with_constants(model, feed) : model;
  const std::vector<Tensor> results = (as.compile ? as.compile(own) : compile_float(own)).run(feed, workspace);
  for (size_t i = 0; i < results.size(); ++i) {
    const fs::path path = onnx_case.only_output.empty() ? data / fmt::format("output_{}.pb", i) : onnx_case.only_output;
    const Tensor expected = read_value(path, model.graph().output(static_cast<int>(i)).type());
    const std::string found = difference(results[i], expected, {onnx_case.relative, onnx_case.absolute});
    if (!found.empty()) return fmt::format("output {}: {}", i, found);
  }
  return {};
}

void read_tolerances(const nlohmann::json& data, OnnxCase& onnx_case) {
  onnx_case.relative = data.value("rtol", onnx_case.relative);
  onnx_case.absolute = data.value("atol", onnx_case.absolute);
}

void complete(const fs::path& root, const fs::path& folder, OnnxCase& onnx_case) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) onnx_case.data.push_back(entry.path());
  }
  std::sort(onnx_case.data.begin(), onnx_case.data.end());
  onnx_case.model = folder / "model.onnx";
  if (!fs::exists(folder / "data.json")) return;
  const nlohmann::json data = nlohmann::json::parse(read_text(folder / "data.json"));
  read_tolerances(data, onnx_case);
  if (fs::exists(onnx_case.model) || !data.contains("url")) return;
  onnx_case.model = root / "light" / fs::path(data.at("url").get<std::string>()).filename();
  onnx_case.only_output = onnx_case.model;
  onnx_case.only_output.replace_extension();
  onnx_case.only_output += "_output_0.pb";
  onnx_case.data = {folder};
}

}  // namespace

std::vector<OnnxCase> find_onnx_cases(const fs::path& root) {
  std::vector<OnnxCase> cases;
  for (const std::string_view set : {"node", "pytorch-converted", "pytorch-operator", "real", "simple"}) {
    if (!fs::exists(root / set)) continue;
    for (const auto& entry : fs::directory_iterator(root / set)) {
      if (!entry.is_directory() || !entry.path().filename().string().starts_with("test_")) continue;
      cases.push_back({.set = std::string(set), .name = entry.path().filename().string()});
      complete(root, entry.path(), cases.back());
      if (!fs::exists(cases.back().model)) cases.pop_back();
    }
  }
  std::sort(cases.begin(), cases.end(),
            [](const OnnxCase& a, const OnnxCase& b) { return std::tie(a.set, a.name) < std::tie(b.set, b.name); });
  return cases;
}

std::string operator_of(const OnnxCase& onnx_case) {
  if (onnx_case.set != "node") return "models of " + onnx_case.set;
  const auto proto = read_proto<onnx::ModelProto>(onnx_case.model);
  if (proto.graph().node_size() != 1) return "several nodes";
  const onnx::NodeProto& node = proto.graph().node(0);
  return (node.domain().empty() ? "" : node.domain() + ".") + node.op_type();
}

Verdict run_onnx_case(const OnnxCase& onnx_case, const RunAs& as) {
  try {
    const graph::Model model = model_of(onnx_case.model);
    if (onnx_case.data.empty()) return {Outcome::kWrong, "it has no data"};
    for (const fs::path& data : onnx_case.data) {
      const std::string found = run_data(onnx_case, model, as, data);
      if (!found.empty()) return {Outcome::kWrong, found};
    }
  } catch (const Error& error) {
    return {error.kind() == ErrorKind::kUnsupported ? Outcome::kRefused : Outcome::kWrong, error.what()};
  } catch (const std::exception& error) {
    return {Outcome::kWrong, std::string("exception: ") + error.what()};
  }
  return {};
}

}  // namespace narrow::exec
