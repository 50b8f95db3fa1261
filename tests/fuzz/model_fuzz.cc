// A model in memory: an Error or a checked model.
#include <cstdint>

#include "lib/base/error.h"
#include "lib/graph/onnx_proto.h"
#include "lib/io/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  onnx::ModelProto proto;
  if (!proto.ParseFromArray(data, static_cast<int>(size))) return 0;
  try {
    narrow::io::check_model(std::move(proto), "/nonexistent");
  } catch (const narrow::Error& error) {
    if (error.kind() == narrow::ErrorKind::kInternal) throw;
  }
  return 0;
}
