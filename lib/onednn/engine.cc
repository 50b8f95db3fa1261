#include "lib/onednn/engine.h"

#include <oneapi/dnnl/dnnl_debug.h>

#include <algorithm>

namespace narrow::onednn {

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine = translating_errors(ErrorKind::kInternal, "oneDNN CPU engine",
                                                        [] { return dnnl::engine(dnnl::engine::kind::cpu, 0); });
  return engine;
}

const dnnl::stream& thread_stream() {
  thread_local const dnnl::stream stream(cpu_engine());
  return stream;
}

void throw_as(ErrorKind kind, std::string_view what, const dnnl::error& error) {
  throw Error(kind, "{}: oneDNN: {} ({})", what, error.message, dnnl_status2str(error.status));
}

void check_status(dnnl_status_t status, std::string_view what) {
  if (status == dnnl_success) return;
  throw Error(ErrorKind::kInternal, "{}: oneDNN: {}", what, dnnl_status2str(status));
}

dnnl::memory::data_type dnnl_type(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return dnnl::memory::data_type::f32;
    case DataType::kInt32:
      return dnnl::memory::data_type::s32;
    case DataType::kInt8:
      return dnnl::memory::data_type::s8;
    case DataType::kUint8:
      return dnnl::memory::data_type::u8;
    default:
      throw Error(ErrorKind::kUnsupported, "oneDNN kernels do not take {}", data_type_name(type));
  }
}

dnnl::memory::desc plain_desc(const Shape& shape, DataType type) {
  dnnl::memory::dims strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= std::max<int64_t>(shape[axis], 1);
  }
  return {shape, dnnl_type(type), strides};
}

dnnl::memory::desc channels_last_desc(const Shape& shape, DataType type) {
  ensure(shape.size() >= 3, "channels-last tensors have spatial axes");
  dnnl::memory::dims strides(shape.size());
  int64_t stride = shape[1];
  strides[1] = 1;
  for (size_t axis = shape.size(); axis-- > 2;) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  strides[0] = stride;
  return {shape, dnnl_type(type), strides};
}

dnnl::primitive_attr base_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

}  // namespace narrow::onednn
