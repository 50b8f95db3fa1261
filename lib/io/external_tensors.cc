#include "lib/io/external_tensors.h"

#include "lib/graph/traverse.h"

namespace narrow::io {
namespace {

bool is_external(const onnx::TensorProto& tensor) {
  return tensor.data_location() == onnx::TensorProto::EXTERNAL;
}

}  // namespace

StandInTensors::StandInTensors(onnx::GraphProto& graph, const graph::ExternalData& external) {
  graph::for_each_tensor(graph, [&](const onnx::TensorProto& tensor) {
    if (is_external(tensor)) external.tensor(tensor);
  });
  graph::for_each_tensor(graph, [&](onnx::TensorProto& tensor) {
    if (!is_external(tensor)) return;
    onnx::TensorProto stand_in;
    stand_in.set_name(tensor.name());
    stand_in.set_data_type(onnx::TensorProto::UINT8);
    stand_in.set_raw_data(std::string(1, '\0'));
    stand_in.Swap(&tensor);
    kept_.emplace_back(&tensor, std::move(stand_in));
  });
}

StandInTensors::~StandInTensors() {
  for (auto& [place, tensor] : kept_) place->Swap(&tensor);
}

}  // namespace narrow::io
